"""Names of run folders, made from the configuration; imports no torch, since Hydra asks before a run starts."""

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from clsnorm.errors import InputError
from clsnorm.files import matching

# What can change a result. Everything else (paths, devices, loggers, observers, `force`) may differ between two
# runs of one name.
RESULT_GROUPS = ("data", "model", "classifier", "normalizer", "optimizer", "scheduler", "trainer", "seeds")
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


def result_config(config: DictConfig, groups: Sequence[str] = RESULT_GROUPS) -> dict[str, Any]:
    """Returns the resolved ``groups`` of ``config`` that can change a result, with all of ``paths`` blanked."""
    config = copy.deepcopy(config)
    OmegaConf.set_readonly(config, False)
    for key in config.paths:
        config.paths[key] = ""
    plain = {group: OmegaConf.to_container(config[group], resolve=True) for group in groups}
    return {
        group: {key: value for key, value in node.items() if key not in SPEED_ONLY_KEYS.get(group, ())}
        for group, node in cast(dict[str, dict[str, Any]], plain).items()
    }


def config_hash(config: DictConfig) -> str:
    """Returns 16 hexadecimal digits of the sha256 of `result_config` and of what ends training early."""
    return _digest(result_config(config) | {"abort_on": sorted(config.abort_on)})


def analysis_hash(config: DictConfig) -> str:
    """Returns the same of what can change an analysis; of a run, its folder and what ``results.json`` holds."""
    if config.run:
        folder = Path(config.run).resolve()
        results = content_digest(str(folder / "results.json"))
        return _digest({"run": str(folder), "results": results})
    return _digest({**result_config(config, ("data", "model")), "subset": config.seeds.subset})


def _digest(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def run_name(*, _root_: DictConfig) -> str:
    """Resolver ``${run_name:}``: the run's choices, its seed and eight digits of its hash.

    Example: ``rotten_tomatoes-minilm-layernorm-s0-1f6c0a77``.
    """
    data, model, normalizer = (_choice(_root_, group) for group in ("data", "model", "normalizer"))
    config = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    return f"{data}-{model}-{normalizer}-s{_root_.seed}-{config_hash(config)[:8]}"


def analysis_name(*, _root_: DictConfig) -> str:
    """Resolver ``${analysis_name:}``: data set, model and eight digits; of a fine-tuned run, ``run-`` and its name."""
    if _root_.run:
        return f"run-{Path(_root_.run).resolve().name}-{analysis_hash(_root_)[:8]}"
    config = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    return f"{_choice(_root_, 'data')}-{_choice(_root_, 'model')}-{analysis_hash(config)[:8]}"


def sweep_name(*, _root_: DictConfig) -> str:
    """Resolver ``${sweep_name:}``: the chosen sweep file, or ``adhoc`` for a sweep typed by hand."""
    sweep = _choices(_root_).get("sweep")
    return "adhoc" if sweep in (None, "none") else str(sweep)


def _choice(root: DictConfig, group: str) -> str:
    """The one chosen option of a group; of a list of options Hydra merges the files and records no choice."""
    choice = _choices(root).get(group)
    if choice is None:
        raise InputError(
            f"Expected one option for `{group}`, but got none or a list. For several runs use a sweep: "
            f"python train.py -m {group}=one,other"
        )
    return str(choice)


def _choices(root: DictConfig) -> DictConfig:
    """The chosen option of each group; a job's own configuration has no ``hydra`` node, so Hydra is asked then."""
    if "hydra" in root:
        return root.hydra.runtime.choices
    from hydra.core.hydra_config import HydraConfig

    return HydraConfig.get().runtime.choices


def content_digest(*given: Any) -> str:
    """Resolver ``${content_digest:...}``: 16 hexadecimal digits that stand for the content of files.

    Runs are named by their configuration; a user's own file may change under the same path, and must then make another
    run. Paths, patterns with ``*`` and folders are taken, singly or in lists; what is not there, or is no path, is told
    when it is read.
    """
    digest = hashlib.sha256()
    for pattern in _flat(given):
        found = matching(Path(pattern).expanduser())
        files = [file for path in found for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
        for file in filter(Path.is_file, files):
            status = file.stat()
            digest.update(_file_digest(file, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()[:16]


def _flat(given: Iterable[Any]) -> Iterator[str]:
    for value in given:
        if isinstance(value, str):
            yield from [value] if value else []  # an empty path would be the working directory
        elif isinstance(value, Iterable):
            yield from _flat(value)


@lru_cache(maxsize=256)
def _file_digest(path: Path, size: int, changed: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def register() -> None:
    """Makes the resolvers known to OmegaConf; may be called again."""
    OmegaConf.register_new_resolver("content_digest", content_digest, replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("sweep_name", sweep_name, replace=True)
    OmegaConf.register_new_resolver("analysis_name", analysis_name, replace=True)
