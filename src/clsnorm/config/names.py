"""Names of run folders, computed from the configuration; imports no torch, since Hydra needs them before a run."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from clsnorm.config.choices import find_option, options
from clsnorm.config.spelling import spell
from clsnorm.errors import InputError, refuse, require_choice
from clsnorm.files import VISIBLE, digest, matching

# What can change a result. Everything else (paths, devices, loggers, observers, `force`) may differ between two
# runs of the same name.
RESULT_GROUPS = (
    "data",
    "model",
    "classifier",
    "normalizer",
    "loss",
    "regularizer",
    "optimizer",
    "scheduler",
    "trainer",
    "seeds",
)
# What can change a study of probes, besides data, model and normalizers.
EVALUATION_KEYS = ("split", "classes", "resamples")  # the same for an evaluation, besides run and data
PROBE_KEYS = ("seed", "places", "normalizers", "leak", "probes", "folds", "shots", "draws", "resamples")
NAMED = ("data", "model", "normalizer")  # groups whose chosen option is part of a run's name
# Listed one by one, so that an argument nobody thought of, such as `+trainer.limit_train_batches`, changes the hash.
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
# Options that came later, with the value at which a run is as before: there they do not change the hash, so that the
# same command still finds the folder of a run of an earlier version.
ADDED: dict[str, dict[str, Any]] = {
    "model": {"freeze": None, "gradient_checkpointing": False, "tf32": False},
    "loss": {
        "_target_": "clsnorm.losses.StandardLoss",
        "_partial_": True,
        "class_weights": None,
        "label_smoothing": 0.0,
    },
}
# A user's own files and folders are hashed by content: it may change under one path, or move to another one.
# The pattern says which files of a folder count.
NAMED_BY_CONTENT = {
    "data": dict.fromkeys(("train", "select", "report"), f"**/{VISIBLE}"),
    "model": {"path": VISIBLE},
}
OBSERVERS = "clsnorm.callbacks."  # these only observe; any other callback may change the training


def result_config(config: DictConfig, groups: Sequence[str] = RESULT_GROUPS) -> dict[str, Any]:
    """Returns the resolved ``groups`` of ``config``, reduced to what can change a result.

    All ``paths`` are blanked, and a user's own files are replaced by digests of their content.
    """
    config = copy.deepcopy(config)
    OmegaConf.set_readonly(config, False)
    for group, key, files in _own_files(config):
        config[group][key] = _each(config[group][key], partial(_content, files=files))
    for key, path in config.paths.items():
        if not isinstance(path, str) or not path:  # a folder "None", or one at the root of the disk
            raise InputError(f"Expected argument `paths.{key}` to be a folder, but got {path!r}. Leave it out")
        config.paths[key] = ""
    plain = {group: OmegaConf.to_container(_group(config, group), resolve=True) for group in groups}
    kept = {
        group: {key: value for key, value in node.items() if not _is_left_out(group, key, value)}
        for group, node in cast(dict[str, dict[str, Any]], plain).items()
    }
    return {group: node for group, node in kept.items() if node}  # a group that came later may be left out whole


def _is_left_out(group: str, key: str, value: Any) -> bool:
    added = ADDED.get(group, {})
    return key in SPEED_ONLY_KEYS.get(group, ()) or (key in added and value == added[key])


def _group(config: DictConfig, group: str) -> DictConfig:
    node = config.get(group)
    if not OmegaConf.is_dict(node):
        raise InputError(
            f"Expected `{group}` to be one of its options, but got {node!r}. `python train.py --help` lists them; "
            "leave it out for the default"
        )
    return node


def config_hash(config: DictConfig) -> str:
    """Returns the hash of `hashed_config`."""
    return hash_of(hashed_config(config))


def hashed_config(config: DictConfig) -> dict[str, Any]:
    """Returns `result_config`, with callbacks that can change a run and events that can end it."""
    kinds, callbacks = config.get("abort_on"), config.get("callbacks")  # a wrong type is refused later
    ends = sorted(kinds, key=str) if OmegaConf.is_list(kinds) else kinds
    plain = OmegaConf.to_container(callbacks, resolve=True) if OmegaConf.is_dict(callbacks) else {}
    steering = {name: node for name, node in cast(dict[str, Any], plain).items() if kinds or not _only_observes(node)}
    return result_config(config) | {"abort_on": ends, "callbacks": steering}


def _only_observes(callback: Any) -> bool:
    return isinstance(callback, dict) and str(callback.get("_target_")).startswith(OBSERVERS)


def recorded(config: DictConfig) -> dict[str, Any]:
    """Returns ``config`` resolved, as plain values; a user's paths become absolute, valid in any working directory."""
    config = copy.deepcopy(config)
    OmegaConf.set_readonly(config, False)
    for key, path in config.paths.items():
        config.paths[key] = _absolute(path) if path else path
    for group, key, _ in _own_files(config):
        config[group][key] = _each(config[group][key], lambda path: _absolute(path) if _exists(path) else path)
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _exists(path: str) -> bool:
    return all(found.exists() for found in matching(Path(path).expanduser()))


def _own_files(config: DictConfig) -> list[tuple[str, str, str]]:
    """Returns group, key and pattern of each given argument that may name a user's own files."""
    return [
        (group, key, files)
        for group, keys in NAMED_BY_CONTENT.items()
        for key, files in keys.items()
        if isinstance(config.get(group), DictConfig) and key in config[group]
    ]


def _each(given: Any, change: Callable[[str], Any]) -> Any:
    """Applies ``change`` to a path, or to each of a list; anything else is returned, to be refused later."""
    if isinstance(given, ListConfig):
        return [_each(value, change) for value in given]
    return change(given) if isinstance(given, str) and given else given


def _content(path: str, files: str) -> Any:
    """Returns extension and digest of each file of a path, pattern or folder; the path itself if it does not exist."""
    if not _exists(path):
        return path  # a name on the hub, an installed package, or a mistake that reading it will report
    found = matching(Path(path).expanduser())
    below = [file for place in found for file in ([place] if place.is_file() else matching(place / files))]
    try:
        return [["".join(file.suffixes[-2:]), digest(file)] for file in below if file.is_file()]
    except OSError as error:
        raise InputError(f"Cannot read {error.filename}: {error.strerror}") from None


def analysis_hash(config: DictConfig) -> str:
    """Returns the hash of what can change an analysis; for a run, of its folder and its ``results.json``."""
    if config.run:
        return hash_of(_finished_run(config.run))
    return hash_of({**result_config(config, ("data", "model")), "subset": config.seeds.subset})


def _finished_run(run: Any) -> dict[str, Any]:
    """Returns the place of a run and the content of its ``results.json``; of a run that is refused later, anything."""
    folder = Path(str(run)).resolve()
    return {"run": str(folder), "results": _content(str(folder / "results.json"), files="")}


def evaluation_hash(config: DictConfig) -> str:
    """Returns the hash of what can change an evaluation: the run, the data, and its options."""
    options = {key: OmegaConf.to_container(config)[key] for key in EVALUATION_KEYS}  # type: ignore[index,call-overload]
    drawn = {"subset": config.seeds.subset, "noise": config.seeds.noise}
    return hash_of({**result_config(config, ("data",)), **_finished_run(config.run), **options, **drawn})


def probe_hash(config: DictConfig) -> str:
    """Returns the hash of what can change a study of probes: data, model, normalizers by content, and its options."""
    options = {key: OmegaConf.to_container(config)[key] for key in PROBE_KEYS}  # type: ignore[index,call-overload]
    files = [[path.stem, digest(path)] for path in normalizer_files(options["normalizers"])]
    groups = result_config(config, ("data", "model"))
    return hash_of(
        {**groups, **options, "normalizers": files, "subset": config.seeds.subset, "noise": config.seeds.noise}
    )


def normalizer_files(chosen_names: Any) -> list[Path]:
    """Returns the files of the chosen normalizers, identity first; ``all`` means all of them.

    Raises:
        InputError: If it is neither ``all`` nor a list of options.
    """
    found = options("normalizer")
    if chosen_names != "all":
        if not isinstance(chosen_names, list) or not chosen_names:
            refuse("normalizers", "all or a list", chosen_names, "Write normalizers=[identity,zca_whitening]")
        for name in chosen_names:
            require_choice("normalizers", name, found)
    wanted = found if chosen_names == "all" else chosen_names
    listed = dict.fromkeys(["identity", *wanted])
    return [path for name in listed if (path := find_option("normalizer", name)) is not None]


def hash_of(plain: dict[str, Any]) -> str:
    """Returns 16 hexadecimal digits of the sha256 of plain values."""
    text = json.dumps(_sortable(plain), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sortable(value: Any) -> Any:
    """Returns plain values in which mappings with numbers *and* texts as keys, as ``{0: 1, other: 3}``, have texts."""
    if isinstance(value, dict):
        mixed = len({isinstance(key, str) for key in value}) > 1
        return {spell(key) if mixed else key: _sortable(item) for key, item in value.items()}
    return [_sortable(item) for item in value] if isinstance(value, list) else value


def run_name(*, _root_: DictConfig) -> str:
    """Resolver ``${run_name:}``: the run's choices, its seed and eight digits of its hash.

    Example: ``rotten_tomatoes-minilm-layernorm-s0-1f6c0a77``.
    """
    config = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    return name_of(group_choices(_root_), _root_.seed, config_hash(config))


def name_of(choices: Mapping[str, Any], seed: Any, hashed: str) -> str:
    """Returns the name of a run from the chosen option of each group, its seed and its hash."""
    data, model, normalizer = (chosen(choices, group) for group in NAMED)
    return f"{data}-{model}-{normalizer}-s{seed}-{hashed[:8]}"


def analysis_name(*, _root_: DictConfig) -> str:
    """Resolver ``${analysis_name:}``: data set, model and eight digits; for a fine-tuned run, ``run-`` and its name."""
    if _root_.run:
        return f"run-{Path(_root_.run).resolve().name}-{analysis_hash(_root_)[:8]}"
    return _named_by_data(_root_, analysis_hash)


def probe_name(*, _root_: DictConfig) -> str:
    """Resolver ``${probe_name:}``: data set, model and eight digits."""
    return _named_by_data(_root_, probe_hash)


def evaluation_name(*, _root_: DictConfig) -> str:
    """Resolver ``${evaluation_name:}``: the run, the data set and eight digits."""
    config = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    run, data = Path(str(config.run)).resolve().name, chosen(group_choices(_root_), "data")
    return f"{run}-on-{data}-{evaluation_hash(config)[:8]}"


def _named_by_data(root: DictConfig, hashed: Callable[[DictConfig], str]) -> str:
    config = OmegaConf.masked_copy(root, [str(key) for key in root if key != "hydra"])
    data, model = (chosen(group_choices(root), group) for group in ("data", "model"))
    return f"{data}-{model}-{hashed(config)[:8]}"


def numbered(name: Callable[..., str]) -> Callable[..., str]:
    """Returns ``name`` for the jobs of a sweep; a job whose configuration ``name`` refuses is named by its number.

    Hydra would end the whole sweep at a folder without a name. The job itself then reports what is wrong.
    """

    def name_or_number(*, _root_: DictConfig) -> str:
        try:
            return name(_root_=_root_)
        except (InputError, OmegaConfBaseException):
            return f"job-{_root_.hydra.job.num}"

    return name_or_number


def chosen(choices: Mapping[str, Any], group: str) -> str:
    """Returns the one chosen option of a group.

    Raises:
        InputError: If there is none: Hydra merges the files of a list of options and records no choice.
    """
    choice = choices.get(group)
    if choice is None:
        raise InputError(
            f"Expected one option for `{group}`, but got none or a list. For several runs use a sweep: "
            f"python train.py -m {group}=one,other"
        )
    return str(choice)


def require_chosen(choices: Mapping[str, Any], groups: Sequence[str] = NAMED) -> None:
    """Raises `InputError` unless each of ``groups`` has one chosen option."""
    for group in groups:
        chosen(choices, group)


def group_choices(root: DictConfig) -> dict[str, Any]:
    """Returns the chosen option of each group; a job's configuration has no ``hydra`` node, so Hydra is asked then."""
    if "hydra" not in root:
        from hydra.core.hydra_config import HydraConfig

        return dict(HydraConfig.get().runtime.choices)
    return dict(root.hydra.runtime.choices)


def register() -> None:
    """Registers the resolvers; may be called again."""
    from clsnorm.config.sweep_names import sweep_name  # which imports this module

    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("job_name", numbered(run_name), replace=True)
    OmegaConf.register_new_resolver("sweep_name", sweep_name, replace=True)
    OmegaConf.register_new_resolver("analysis_name", analysis_name, replace=True)
    OmegaConf.register_new_resolver("analysis_job_name", numbered(analysis_name), replace=True)
    OmegaConf.register_new_resolver("probe_name", probe_name, replace=True)
    OmegaConf.register_new_resolver("probe_job_name", numbered(probe_name), replace=True)
    OmegaConf.register_new_resolver("evaluation_name", evaluation_name, replace=True)
    OmegaConf.register_new_resolver("evaluation_job_name", numbered(evaluation_name), replace=True)


HASHES = {  # by the file that a configuration was composed from
    "train": config_hash,
    "analyze": analysis_hash,
    "probe": probe_hash,
    "evaluate": evaluation_hash,
}
