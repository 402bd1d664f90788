"""What a user can choose: the options of each config group, and the nearest one to a name that does not exist."""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from clsnorm.errors import InputError, did_you_mean

PACKAGED = Path(__file__).parents[1] / "conf"  # in a wheel; a checkout has it at the top
CONF = PACKAGED if PACKAGED.is_dir() else Path(__file__).parents[3] / "conf"
ALIASES = {  # names that people may type for options whose names here are not spelled similarly
    "bn": "normalizer=batchnorm",
    "cosine_head": "classifier=cosine",
    "dynamic_tanh": "normalizer=dyt",
    "l2": "normalizer=l2norm",
    "ln": "normalizer=layernorm",
    "none": "normalizer=identity",
    "pca": "normalizer=pca_whiten",
    "syncbn": "normalizer=batchnorm",  # synchronized over processes
    "zca": "normalizer=zca_whitening",
    "zca_whiten": "normalizer=zca_whitening",
}
RENAMED = {"classifier.rate_matched": "classifier.match_step=total"}  # options of earlier versions
OWN = {"data": "data=files data.train={}", "model": "model=any model.path={}"}  # how to use one's own files
OF_OVERRIDES = ("experiment", "sweep")  # groups whose files override values of other groups
QUOTING = """Quote a value with special characters twice, as in 'data.delimiter=";"', or use a word for it"""


def folders() -> list[Path]:
    """Returns the configuration folders: `CONF`, and the user's own from ``--config-dir``."""
    own = []
    for word, following in itertools.pairwise([*sys.argv[1:], ""]):
        option, _, value = word.partition("=")
        if option in ("--config-dir", "-cd"):
            own.append(Path(value or following))
    return [CONF, *own]


def require_known(config: DictConfig, primary: str) -> None:
    """Refuses a key that nothing reads, such as a misspelled one added with ``+``: it would have no effect.

    The keys of a part, such as ``optimizer``, are checked by its constructor.

    Args:
        config: As Hydra composed it.
        primary: The file of `CONF` it was composed from: such as ``train`` or ``analyze``.

    Raises:
        InputError: If the top level, ``seeds`` or ``paths`` has a key that ``primary`` does not.
    """
    node = OmegaConf.load(CONF / f"{primary}.yaml")
    groups = [str(key) for default in node.defaults if isinstance(default, DictConfig) for key in default]
    known = {
        "": [*map(str, node), *(group for group in groups if not group.startswith("override "))],
        "seeds": [str(key) for key in node.seeds],
        "paths": [str(key) for key in OmegaConf.load(CONF / "paths" / "default.yaml")],
    }
    _require_global_package(config)
    for place, keys in known.items():
        for key in config[place] if place else config:
            if key not in keys:
                raise InputError(_no_such_key(str(key), place, keys))


def _require_global_package(config: DictConfig) -> None:
    """Refuses a file of overrides that would override nothing."""
    for group in OF_OVERRIDES:
        if config.get(group):
            raise InputError(
                f"Expected the file of `{group}` to begin with the line `# @package _global_`: without it, its values "
                f"are those of `{group}`, which nothing reads"
            )


def choices(*groups: str) -> str:
    """Resolver ``${choices:data,model}``: a paragraph for each group with its options, for ``--help``.

    Example:
        >>> print(choices("logger", "scheduler"))
        logger=mlflow, none, tensorboard, wandb
        scheduler=constant, cosine, linear
    """
    paragraphs = (f"{group}={', '.join(options(group))}" for group in groups)
    return "\n".join(textwrap.fill(text, 120, subsequent_indent="    ", break_on_hyphens=False) for text in paragraphs)


def register() -> None:
    """Registers the resolver ``${choices:}``; may be called again."""
    OmegaConf.register_new_resolver("choices", choices, replace=True)


def options(group: str) -> list[str]:
    """Returns the options of a group, sorted."""
    return sorted({path.stem for folder in folders() for path in (folder / group).glob("[!_]*.yaml")})


def find_option(group: str, name: str) -> Path | None:
    """Returns the file of an option; None if it is no file of the configuration folders."""
    paths = [folder / group / f"{name}.yaml" for folder in folders()]
    return next((path for path in paths if path.exists()), None)


def explain(error: BaseException) -> str | None:
    """Returns one line on what Hydra did not find or could not parse; None for any other error."""
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue

    if isinstance(error, OverrideParseException):
        return f"{error}. {QUOTING}" if "=" in error.override else _no_override(error.override)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _no_such_file(error.missing_cfg_file)
    if isinstance(error, MissingMandatoryValue) and isinstance(error.full_key, str):
        group = error.full_key.partition(".")[0]
        example = f", as in {OWN[group].format('...')}" if group in OWN else ""
        return f"Expected `{error.full_key}` to be given, since it has no default. Type {error.full_key}=...{example}"
    cause = error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and isinstance(cause.full_key, str):
        return _from_parent(cause.full_key, cause.parent_node)
    return None


def _no_override(word: str) -> str:
    """Says what to type instead of a word without ``=``, such as the option of a group or a file."""
    groups = [path.name for path in sorted(CONF.iterdir()) if path.is_dir()]
    meant = [f"{group}={word}" for group in groups if find_option(group, word)] or [ALIASES.get(word, "")]
    if Path(word).exists():
        meant = [OWN["data"].format(word)]
    near = f" Did you mean {' or '.join(meant)}?" if any(meant) else ""
    return f"Expected arguments of the form KEY=VALUE, but got {word!r}.{near} --help lists all"


def _no_such_file(missing: str) -> str | None:
    """Explains an option that does not exist, given as ``group/name``; None if it is of no group."""
    top, _, path = missing.partition("/")
    if top in OWN and ("/" in path or "." in path):
        return f"Expected an option of `{top}`, but got {path!r}. For your own: {OWN[top].format(path)}"
    group, _, name = missing.rpartition("/")
    return _no_such_option(group, name) if group and options(group) else None


def _no_such_option(group: str, name: str) -> str:
    known = options(group)
    near = f" Did you mean {ALIASES[name]}?" if name in ALIASES else did_you_mean(name, known)
    return f"Expected an option of `{group}`, but got {name!r}.{near} There are {', '.join(known)}"


def _from_parent(full_key: str, parent: Any) -> str:
    place, _, key = full_key.rpartition(".")
    groups = [] if place else [path.name for path in CONF.iterdir() if path.is_dir()]
    keys = dict.fromkeys(str(key) for key in (*parent, *groups) if not str(key).startswith("_"))
    target = str(parent.get("_target_", "clsnorm."))  # the files spell out all arguments of this package's classes
    how_to_add = "" if target.startswith("clsnorm.") else f". +{full_key}=... passes another one to {target}"
    return _no_such_key(key, place, list(keys)) + how_to_add


def _no_such_key(key: str, place: str, keys: list[str]) -> str:
    known = [key for key in keys if key not in ("defaults", "hydra")]
    full_key, holder = (f"{place}.{key}", f"`{place}`") if place else (key, "The configuration")
    near = f" It is now {RENAMED[full_key]}." if full_key in RENAMED else did_you_mean(key, known)
    return (
        f"Expected an argument that exists, but got `{full_key}`.{near} "
        f"{holder} has {', '.join(known) or 'none: it is a value'}"
    )


def compose_options(group: str, conf: Path = CONF) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields name, description and composed, unresolved configuration of each option of a group."""
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
        for name, text, _ in described_options(conf / group):
            node: Any = OmegaConf.to_container(compose(f"{group}/{name}")[group], resolve=False)
            yield name, text, node


def resolve_option(group: str, node: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """Returns an option that `compose_options` gave with its interpolations resolved; they may refer to ``paths``."""
    together = OmegaConf.create({group: dict(node), "paths": dict(paths)})
    resolved: Any = OmegaConf.to_container(together, resolve=True)
    return resolved[group]


def default_paths() -> dict[str, str]:
    """Returns the default folders, with environment variables resolved: ``data``, ``cache``, ``output``, ..."""
    paths: Any = OmegaConf.to_container(OmegaConf.load(CONF / "paths" / "default.yaml"), resolve=True)
    return paths


def paths_given(words: Sequence[str]) -> dict[str, str]:
    """Returns `default_paths` with those that ``words``, each ``paths.KEY=FOLDER``, replace.

    Raises:
        InputError: If a key does not exist, or the folder of data sets is none.
    """
    paths = default_paths()
    for word in words:
        key, _, value = word.partition("=")
        if not key.startswith("paths.") or key.removeprefix("paths.") not in paths:
            known = [f"paths.{name}" for name in paths]
            raise InputError(f"Expected {', '.join(known)}, but got {key!r}.{did_you_mean(key, known)}")
        paths[key.removeprefix("paths.")] = value
        if key == "paths.data" and not Path(value).expanduser().is_dir():
            raise InputError(
                f"Expected paths.data to be a folder, but {value} is not. Give the folder of published data sets"
            )
    return paths


def described_options(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yields name, description and path of each option of a group's folder; names with ``_`` first are no options."""
    for path in sorted(folder.glob("[!_]*.yaml")):
        yield path.stem, description(path), path


def description(path: Path) -> str:
    """Returns the first sentences of a YAML file's head comment, up to its source or its command."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") or line.startswith(("# python ", "# Source: ")):
            break
        if not line.startswith("# @"):  # a directive to Hydra
            lines.append(line.removeprefix("#").strip())
    return " ".join(lines)
