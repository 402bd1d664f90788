"""From a resolved configuration to the parts of a run, wired but not yet trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import ClusterEnvironment, LightningEnvironment, TorchElasticEnvironment

from clsnorm import distributed
from clsnorm.callbacks import Observer
from clsnorm.config.roles import instantiate, instantiate_partial, nodes_of
from clsnorm.data import DataModule
from clsnorm.data.tokens.requirements import require_cls_first
from clsnorm.errors import InputError, require_choice
from clsnorm.experiment.run_records import RunRecords, Start, build_records
from clsnorm.experiment.shared_models import MODEL
from clsnorm.lightning_loop import take_steps
from clsnorm.loggers.lifecycle import build_loggers
from clsnorm.losses import Task
from clsnorm.model import Classifier, Encoder, FineTuner, load_tokenizer
from clsnorm.records import CheckpointWriter, EarlyStopping
from clsnorm.run_folder import RunFolder

SEARCHING_DDP, REARRANGING_DDP = (f"ddp_find_unused_parameters_{search}" for search in ("true", "false"))


@dataclass
class Experiment:
    """The parts of a run."""

    config: dict[str, Any]
    folder: RunFolder
    data: DataModule
    module: FineTuner
    trainer: pl.Trainer
    observers: dict[str, Observer]
    records: RunRecords
    loggers: dict[str, Logger]


def build(config: dict[str, Any], folder: RunFolder) -> Experiment:
    """Builds every part of a run; nothing is trained or calibrated yet.

    Raises:
        InputError: If a part refuses its configuration.
    """
    start = Start()
    pl.seed_everything(config["seeds"]["init"], verbose=False)
    optimization = _optimization(config)
    loggers = build_loggers(config, folder.path)  # before data are read: a typed value may be refused
    callbacks = _build_callbacks(config)
    observers = {name: callback for name, callback in callbacks.items() if isinstance(callback, Observer)}
    encoder, tokenizer = load_pretrained(config)
    _check_length(config["data"]["max_length"], encoder.max_length)
    data = build_data(config, tokenizer, packed=encoder.can_pack)
    _check_monitors(callbacks, data)
    module = _build_module(config, encoder, data, *optimization)
    for observer in observers.values():
        observer.check(dim=encoder.dim)
    records = build_records(config, folder, data, observers, start)
    records.events.loggers = [*loggers.values()]
    all_callbacks = [*callbacks.values(), *records.callbacks]
    trainer = _build_trainer(config, folder, loggers=[records.metrics_csv, *loggers.values()], callbacks=all_callbacks)
    return Experiment(config, folder, data, module, trainer, observers, records, loggers)


def _build_callbacks(config: dict[str, Any]) -> dict[str, pl.Callback]:
    nodes = nodes_of(config, "callbacks")
    callbacks: dict[str, pl.Callback] = {}
    owners: dict[str, str] = {}  # of the states in a resume point, by key
    for place, node in nodes.items():
        callback = callbacks[place.partition(".")[2]] = instantiate(node, place)
        has_state = type(callback).state_dict is not pl.Callback.state_dict
        if has_state and (other := owners.setdefault(callback.state_key, place)) != place:
            raise InputError(f"Expected one {type(callback).__name__}, but got `{other}` and `{place}`. Leave out one")
    return callbacks


def _check_monitors(callbacks: dict[str, pl.Callback], data: DataModule) -> None:
    """Refuses a callback that monitors no score of the run: Lightning would notice only at the first validation."""
    scores = ["select/loss", *(f"select/{name}" for name in data.metrics)]
    for name, callback in callbacks.items():
        if isinstance(callback, EarlyStopping):
            callback.choose(scores, monitor=f"select/{data.monitor}", mode=data.mode)
        elif (monitor := getattr(callback, "monitor", None)) is not None:
            require_choice(f"callbacks.{name}.monitor", monitor, scores)


def _build_module(
    config: dict[str, Any],
    encoder: Encoder,
    data: DataModule,
    optimizer: Callable[..., Any],
    scheduler: Callable[..., Any],
) -> FineTuner:
    loss = instantiate(config["loss"], "loss", Task(data.labels or (), data.class_counts))
    regularizer = instantiate(config["regularizer"], "regularizer", encoder.dim)
    return FineTuner(
        _assemble(config, encoder, num_outputs=data.num_outputs),
        regularizer=regularizer,
        loss=loss,
        metrics=data.metrics,
        report_names=data.report_names,
        optimizer=optimizer,
        scheduler=scheduler,
        seed_dropout=config["seeds"]["dropout"],
    )


def build_classifier(config: dict[str, Any], *, num_outputs: int) -> tuple[Classifier, Any]:
    """Returns the classifier of a configuration, untrained, and its tokenizer."""
    encoder, tokenizer = load_pretrained(config)
    return _assemble(config, encoder, num_outputs=num_outputs), tokenizer


def load_pretrained(config: dict[str, Any]) -> tuple[Encoder, Any]:
    """Returns the encoder of a configuration, and its tokenizer.

    Raises:
        InputError: If one of them cannot be loaded, or if [CLS] is not where it is read.
    """

    def load() -> tuple[Encoder, Any]:
        tokenizer = load_tokenizer(config["model"]["path"])  # first: the weights may be large
        require_cls_first(tokenizer, pairs=False)
        return instantiate(config["model"], "model"), tokenizer

    return MODEL.get(config["model"], load)


def _assemble(config: dict[str, Any], encoder: Encoder, *, num_outputs: int) -> Classifier:
    normalizer = instantiate(config["normalizer"], "normalizer", encoder.dim)
    normalizer.take_batch_size(config["data"]["batch_size"])
    seed = config["seeds"]["init"]
    return instantiate(config["classifier"], "classifier", encoder, normalizer, num_outputs=num_outputs, seed_init=seed)


def _optimization(config: dict[str, Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Returns how to build optimizer and schedule. Both are tried now, since Lightning builds them late."""
    optimizer = instantiate_partial(config["optimizer"], "optimizer")
    trial = instantiate(config["optimizer"], "optimizer", [torch.nn.Parameter(torch.zeros(1))])
    scheduler = instantiate_partial(config["scheduler"], "scheduler")
    instantiate(config["scheduler"], "scheduler", trial, num_training_steps=1)
    return optimizer, scheduler


def _check_length(wanted: int, limit: int | None) -> None:
    if limit is not None and wanted > limit:
        raise InputError(
            f"Expected data.max_length to be at most {limit}, the most tokens the model has positions for, but got "
            f"{wanted}. Set data.max_length={limit}"
        )


def build_data(config: dict[str, Any], tokenizer: Any, *, packed: bool) -> DataModule:
    """Returns the data set of a configuration, prepared on all processes.

    Raises:
        InputError: If it is unavailable or faulty, on all processes.
    """
    node = {**config["data"], "packed": packed and config["data"].get("packed", False)}
    seeds = config["seeds"]
    data = instantiate(
        node,
        "data",
        tokenizer=tokenizer,
        seed_order=seeds["order"],
        seed_subset=seeds["subset"],
        seed_noise=seeds["noise"],
        batches_per_step=_batches_per_step(config),
        rank=distributed.rank(),
        world_size=distributed.world_size(),
    )
    _prepare(data)
    return data


def _batches_per_step(config: dict[str, Any]) -> int:
    """Returns how many batches an optimizer step has; an analysis has no trainer, and so no steps."""
    return config["trainer"]["accumulate_grad_batches"] if "trainer" in config else 1


def _prepare(data: DataModule) -> None:
    """Fills the cache on rank 0; raises its InputError on all ranks."""
    refusal = None
    if distributed.rank() == 0:
        try:
            data.prepare()
        except InputError as error:
            refusal = str(error)
    if refusal := distributed.broadcast_object(refusal):
        raise InputError(refusal)
    data.prepare()


def reproducible_strategy(strategy: Any, world_size: int) -> Any:
    """Returns a strategy whose sums over processes have the same order in each step, also after a resume.

    After the first backward pass of a process, DDP rearranges the buckets in which it adds gradients, and so the order
    of the sums: the first step of a resumed run would differ in rounding. It does not do so if it searches for unused
    parameters in each step. Two numbers have only one sum, so two processes do not need this.
    """
    return SEARCHING_DDP if world_size > 2 and strategy in ("auto", "ddp", REARRANGING_DDP) else strategy


def _processes_of_run() -> ClusterEnvironment:
    """Returns what tells Lightning how a run's processes find each other.

    In a job of SLURM it would expect SLURM to have started them, and take signals to store checkpoints of its own.
    """
    return TorchElasticEnvironment() if distributed.is_active() else LightningEnvironment()


def _build_trainer(
    config: dict[str, Any], folder: RunFolder, *, loggers: list[Logger], callbacks: list[pl.Callback]
) -> pl.Trainer:
    shows_progress = any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks)
    strategy = reproducible_strategy(config["trainer"]["strategy"], distributed.world_size())
    machines = distributed.machines()
    places = {"devices": distributed.world_size() // machines, "num_nodes": machines}
    node = {**config["trainer"], **places, "strategy": strategy, "_partial_": True}
    trainer: pl.Trainer = instantiate(
        node,
        "trainer",
        default_root_dir=folder.path,
        logger=loggers,
        callbacks=callbacks,
        enable_progress_bar=shows_progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the data module splits each global batch itself
        plugins=[_processes_of_run()],
    )
    trainer.strategy.checkpoint_io = CheckpointWriter(folder.path)
    take_steps(trainer)
    return trainer
