"""Names of run folders, made from the configuration; imports no torch, since Hydra asks before a run starts."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from clsnorm.errors import InputError
from clsnorm.files import VISIBLE, digest, matching

# What can change a result. Everything else (paths, devices, loggers, observers, `force`) may differ between two
# runs of one name.
RESULT_GROUPS = ("data", "model", "classifier", "normalizer", "optimizer", "scheduler", "trainer", "seeds")
NAMED = ("data", "model", "normalizer")  # whose chosen option stands in a run's name
# Named one by one, so that an option nobody thought of, such as `+trainer.limit_train_batches`, makes another run.
SPEED_ONLY_KEYS = {
    "data": ("num_workers", "eval_batch_size", "about"),
    "trainer": (
        "_target_",
        "accelerator",
        "benchmark",
        "deterministic",
        "devices",
        "log_every_n_steps",
        "num_nodes",
        "profiler",
        "strategy",
    ),
}
# A user's own files and folders: they may change under a path, or be given by another one, so what they hold is named.
# With each stands which files of a folder count.
NAMED_BY_CONTENT = {
    "data": dict.fromkeys(("train", "select", "report"), f"**/{VISIBLE}"),
    "model": {"path": VISIBLE},
}
OBSERVERS = "clsnorm.callbacks."  # all of them only look; any other callback may steer the training


def result_config(config: DictConfig, groups: Sequence[str] = RESULT_GROUPS) -> dict[str, Any]:
    """Returns the resolved ``groups`` of ``config`` that can change a result.

    All of ``paths`` is blanked, and in place of a user's own files stands what they hold.
    """
    config = copy.deepcopy(config)
    OmegaConf.set_readonly(config, False)
    for group, key, files in _own_files(config):
        config[group][key] = _each(config[group][key], partial(_content, files=files))
    for key, path in config.paths.items():
        if path in (None, ""):  # a folder "None", or one at the root of the disk
            raise InputError(f"Expected argument `paths.{key}` to be a folder, but got {path!r}. Leave it out")
        config.paths[key] = ""
    plain = {group: OmegaConf.to_container(_group(config, group), resolve=True) for group in groups}
    return {
        group: {key: value for key, value in node.items() if key not in SPEED_ONLY_KEYS.get(group, ())}
        for group, node in cast(dict[str, dict[str, Any]], plain).items()
    }


def _group(config: DictConfig, group: str) -> DictConfig:
    node = config.get(group)
    if not OmegaConf.is_dict(node):
        raise InputError(
            f"Expected `{group}` to be one of its options, but got {node!r}. `python train.py --help` lists them; "
            "leave it out for the usual one"
        )
    return node


def config_hash(config: DictConfig) -> str:
    """Returns 16 hexadecimal digits of the sha256 of `result_config` and of callbacks that can steer a run."""
    kinds, callbacks = config.get("abort_on"), config.get("callbacks")  # or a mistake that is told later
    ends = sorted(kinds, key=str) if OmegaConf.is_list(kinds) else kinds
    plain = OmegaConf.to_container(callbacks, resolve=True) if OmegaConf.is_dict(callbacks) else {}
    steering = {name: node for name, node in cast(dict[str, Any], plain).items() if kinds or not _only_looks(node)}
    return _digest(result_config(config) | {"abort_on": ends, "callbacks": steering})


def _only_looks(callback: Any) -> bool:
    return isinstance(callback, dict) and str(callback.get("_target_")).startswith(OBSERVERS)


def recorded(config: DictConfig) -> dict[str, Any]:
    """Returns ``config`` resolved, as plain values; a user's paths are absolute, to hold in any working directory."""
    config = copy.deepcopy(config)
    OmegaConf.set_readonly(config, False)
    for key, path in config.paths.items():
        config.paths[key] = _absolute(path) if path else path
    for group, key, _ in _own_files(config):
        config[group][key] = _each(config[group][key], lambda path: _absolute(path) if _is_there(path) else path)
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _is_there(path: str) -> bool:
    return all(found.exists() for found in matching(Path(path).expanduser()))


def _own_files(config: DictConfig) -> list[tuple[str, str, str]]:
    """Group, key and pattern of what may name a user's own files, where it is given."""
    return [
        (group, key, files)
        for group, keys in NAMED_BY_CONTENT.items()
        for key, files in keys.items()
        if isinstance(config.get(group), DictConfig) and key in config[group]
    ]


def _each(given: Any, change: Callable[[str], Any]) -> Any:
    """Applies ``change`` to a path, or to each of a list; what is no path, or an empty one, is for others to refuse."""
    if isinstance(given, ListConfig):
        return [_each(value, change) for value in given]
    return change(given) if isinstance(given, str) and given else given


def _content(path: str, files: str) -> Any:
    """What a file, a pattern with ``*`` or a folder holds: extensions and digests; a path where nothing is, itself."""
    if not _is_there(path):
        return path  # a hub's name, an installed package, or told when it is read
    found = matching(Path(path).expanduser())
    below = [file for place in found for file in ([place] if place.is_file() else matching(place / files))]
    try:
        return [["".join(file.suffixes[-2:]), digest(file)] for file in below if file.is_file()]
    except OSError as error:
        raise InputError(f"Cannot read {error.filename}: {error.strerror}") from None


def analysis_hash(config: DictConfig) -> str:
    """Returns the same of what can change an analysis; of a run, its folder and what ``results.json`` holds."""
    if config.run:
        folder = Path(config.run).resolve()
        return _digest({"run": str(folder), "results": _content(str(folder / "results.json"), files="")})
    return _digest({**result_config(config, ("data", "model")), "subset": config.seeds.subset})


def _digest(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def run_name(*, _root_: DictConfig) -> str:
    """Resolver ``${run_name:}``: the run's choices, its seed and eight digits of its hash.

    Example: ``rotten_tomatoes-minilm-layernorm-s0-1f6c0a77``.
    """
    data, model, normalizer = (chosen(_choices(_root_), group) for group in NAMED)
    config = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    return f"{data}-{model}-{normalizer}-s{_root_.seed}-{config_hash(config)[:8]}"


def analysis_name(*, _root_: DictConfig) -> str:
    """Resolver ``${analysis_name:}``: data set, model and eight digits; of a fine-tuned run, ``run-`` and its name."""
    if _root_.run:
        return f"run-{Path(_root_.run).resolve().name}-{analysis_hash(_root_)[:8]}"
    config = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    data, model = (chosen(_choices(_root_), group) for group in ("data", "model"))
    return f"{data}-{model}-{analysis_hash(config)[:8]}"


def numbered(name: Callable[..., str]) -> Callable[..., str]:
    """Returns ``name`` for a job of a sweep, which has its number instead where ``name`` refuses it.

    A sweep ends if a folder has no name; a job that is run tells by itself what is wrong, and the others go on.
    """

    def name_or_number(*, _root_: DictConfig) -> str:
        try:
            return name(_root_=_root_)
        except (InputError, OmegaConfBaseException):
            return f"job-{_root_.hydra.job.num}"

    return name_or_number


def sweep_name(*, _root_: DictConfig) -> str:
    """Resolver ``${sweep_name:}``: the chosen sweep file, or ``adhoc`` for a sweep typed by hand."""
    sweep = _choices(_root_).get("sweep")
    return "adhoc" if sweep in (None, "none") else str(sweep)


def chosen(choices: Mapping[str, Any], group: str) -> str:
    """Returns the one chosen option of a group.

    Raises:
        InputError: If there is none: of a list of options Hydra merges the files and records no choice.
    """
    choice = choices.get(group)
    if choice is None:
        raise InputError(
            f"Expected one option for `{group}`, but got none or a list. For several runs use a sweep: "
            f"python train.py -m {group}=one,other"
        )
    return str(choice)


def _choices(root: DictConfig) -> Mapping[str, Any]:
    """The chosen option of each group; a job's own configuration has no ``hydra`` node, so Hydra is asked then."""
    if "hydra" in root:
        return root.hydra.runtime.choices
    from hydra.core.hydra_config import HydraConfig

    return HydraConfig.get().runtime.choices


def register() -> None:
    """Makes the resolvers known to OmegaConf; may be called again."""
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("job_name", numbered(run_name), replace=True)
    OmegaConf.register_new_resolver("sweep_name", sweep_name, replace=True)
    OmegaConf.register_new_resolver("analysis_name", analysis_name, replace=True)
    OmegaConf.register_new_resolver("analysis_job_name", numbered(analysis_name), replace=True)
