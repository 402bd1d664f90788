"""Which launchers and sweepers a configuration may name, and with which arguments.

These are this package's, Hydra's own, and its joblib, submitit and Optuna plugins. Arguments that could run code are
left out, such as submitit's shell commands (``setup``) or Optuna's ``custom_search_space``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clsnorm.config.shapes import Shape, each, either, empty, keys, mapping, one_of, plain, scalar, word
from clsnorm.errors import InputError, refuse


def plugin(kinds: Mapping[str, Mapping[str, Shape]]) -> Shape:
    """Admits one of the listed classes with the listed arguments; all other arguments must be empty."""

    def check(place: str, value: Any) -> None:
        if not isinstance(value, dict):
            refuse(place, "a mapping that names a class as its _target_", value)
        target = str(value.get("_target_"))
        if target not in kinds:
            names = ", ".join(kind.rpartition(".")[2] for kind in kinds)
            raise InputError(f"Expected the target of `{place}` to be one of {names}, but got {target!r}")
        for key in value.keys() - {"_target_"}:
            kinds[target].get(key, empty("It could run code"))(f"{place}.{key}", value[key])

    return check


def _storage(place: str, value: Any) -> None:
    if value is not None and not str(value).startswith("sqlite:///"):  # other databases may unpickle what they hold
        refuse(place, "null or sqlite:///FILE", value)
    scalar(place, value)


def _batch_size(place: str, value: Any) -> None:
    if value is not None and not (isinstance(value, int) and value >= 1):
        refuse(place, "null or a whole number of at least 1", value)


def _direction(place: str, value: Any) -> None:
    (each(scalar) if isinstance(value, list) else scalar)(place, value)


_JOBLIB = keys("n_jobs backend prefer require verbose timeout batch_size temp_folder max_nbytes mmap_mode", word) | {
    "pre_dispatch": one_of("2*n_jobs", "all")  # joblib evaluates it
}
_SUBMITIT = {
    "submitit_folder": one_of("${hydra.sweep.dir}/.submitit/%j"),
    "name": either("${hydra.job.name}", word),
    **keys("timeout_min cpus_per_task gpus_per_node tasks_per_node mem_gb nodes stderr_to_stdout", word),
    **keys("partition qos comment constraint exclude gres account cpus_per_gpu gpus_per_task", word),
    **keys("mem_per_gpu mem_per_cpu signal_delay_s max_num_timeout array_parallelism", word),
}
_SAMPLER = {
    "x0": each(plain),
    **keys("_partial_ seed consider_prior prior_weight consider_magic_clip consider_endpoints n_ei_candidates", plain),
    **keys("n_startup_trials multivariate warn_independent_sampling sigma0 consider_pruned_trials", plain),
    **keys("restart_strategy inc_popsize use_separable_cma population_size mutation_prob crossover_prob", plain),
    **keys("swapping_prob n_ehvi_candidates", plain),
}
_SAMPLERS = dict.fromkeys(
    (
        f"optuna.samplers.{kind}"
        for kind in ("TPESampler", "RandomSampler", "GridSampler", "CmaEsSampler", "NSGAIISampler", "MOTPESampler")
    ),
    _SAMPLER,
)
_DISTRIBUTION = {"choices": each(scalar), **keys("type low high log step", scalar)}
LAUNCHERS: dict[str, dict[str, Shape]] = {
    "clsnorm.sweep.LocalWorkers": keys("wait quiet", plain),
    "clsnorm.sweep.SideBySide": keys("n_jobs oversubscribe wait quiet", plain),
    "clsnorm.sweep.SlurmArray": keys("workers timeout_min signal_delay_s cpus_per_task gpus_per_node mem_gb", plain)
    | keys("partition account qos constraint exclude gres", word)
    | keys("wait quiet", plain),
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher": {},
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher": _JOBLIB,
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher": _SUBMITIT,
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher": _SUBMITIT,
}
_BASIC: dict[str, Shape] = {
    "max_batch_size": _batch_size,
    "params": each(scalar),  # overrides of each job; its configuration is checked as well
}
SWEEPERS: dict[str, dict[str, Shape]] = {
    "clsnorm.sweep.Grid": _BASIC,
    "clsnorm.sweep.OptunaSearch": {
        **keys("params final", each(scalar)),
        **keys("trials early sampler seed storage", plain),
    },
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper": _BASIC,
    "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper": {
        "sampler": plugin(_SAMPLERS),
        "storage": _storage,
        "params": each(scalar),
        "search_space": each(mapping(_DISTRIBUTION)),
        "direction": _direction,
        **keys("study_name n_trials n_jobs max_failure_rate", plain),
    },
}
