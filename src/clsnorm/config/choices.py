"""What a user can choose: the options that are there, and the nearest to one that is not; imports no torch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from clsnorm.errors import InputError, did_you_mean

CONF = Path(__file__).parents[3] / "conf"
ALIASES = {  # what people type for an option that has another name here, unless the spelling is near
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
QUOTING = (
    """Put a value with marks of that grammar into quotes twice, as in 'data.delimiter=";"', or use a word for it"""
)


def require_known(config: DictConfig, primary: str) -> None:
    """Refuses a key that nothing reads, such as one added with ``+`` by a slip of the pen: it would change nothing.

    The keys of a part, such as ``optimizer``, are for its constructor to refuse.

    Args:
        config: Composed.
        primary: The file of `CONF` it was composed from, ``train`` or ``analyze``.

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
    for place, keys in known.items():
        for key in config[place] if place else config:
            if key not in keys:
                raise InputError(_no_such_key(str(key), place, keys))


def choices(*groups: str) -> str:
    """Resolver ``${choices:data,model}``: a paragraph for each group with its options, for ``--help``.

    Example:
        >>> print(choices("logger", "scheduler"))
        logger=mlflow, none, tensorboard, wandb
        scheduler=constant, cosine, linear
    """
    paragraphs = (f"{group}={', '.join(_options(group))}" for group in groups)
    return "\n".join(textwrap.fill(text, 120, subsequent_indent="    ", break_on_hyphens=False) for text in paragraphs)


def register() -> None:
    """Makes the resolver known to OmegaConf; may be called again."""
    OmegaConf.register_new_resolver("choices", choices, replace=True)


def _options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("[!_]*.yaml"))


def explain(error: BaseException) -> str | None:
    """Returns one line for what Hydra did not find, or could not read; None for any other error."""
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    if isinstance(error, OverrideParseException):
        return f"{error}. {QUOTING}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return _no_such_option(group, name) if (CONF / group).is_dir() and group else None
    cause = error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and isinstance(cause.full_key, str):
        return _from_parent(cause.full_key, cause.parent_node)
    return None


def _no_such_option(group: str, name: str) -> str:
    there = _options(group)
    near = f" Did you mean {ALIASES[name]}?" if name in ALIASES else did_you_mean(name, there)
    return f"Expected an option of `{group}`, but got {name!r}.{near} There are {', '.join(there)}"


def _from_parent(full_key: str, parent: Any) -> str:
    place, _, key = full_key.rpartition(".")
    groups = [] if place else [path.name for path in CONF.iterdir() if path.is_dir()]
    keys = dict.fromkeys(str(key) for key in (*parent, *groups) if not str(key).startswith("_"))
    target = str(parent.get("_target_", "clsnorm."))  # of this package's classes the files name all arguments
    further = "" if target.startswith("clsnorm.") else f". +{full_key}=... gives {target} a further one"
    return _no_such_key(key, place, list(keys)) + further


def _no_such_key(key: str, place: str, keys: list[str]) -> str:
    there = [key for key in keys if key not in ("defaults", "hydra")]
    full_key, holder = (f"{place}.{key}", f"`{place}`") if place else (key, "The configuration")
    return (
        f"Expected an argument that exists, but got `{full_key}`.{did_you_mean(key, there)} "
        f"{holder} has {', '.join(there) or 'none: it is a value'}"
    )


def described_options(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yields key, description and path of each option of a config group, without those whose name starts with ``_``."""
    for path in sorted(folder.glob("[!_]*.yaml")):
        yield path.stem, description(path), path


def description(path: Path) -> str:
    """Returns the sentences of a YAML's head comment that stand before its source and the line with its command."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") or line.startswith(("# python ", "# Source: ")):
            break
        if not line.startswith("# @"):  # a directive to Hydra
            lines.append(line.removeprefix("#").strip())
    return " ".join(lines)
