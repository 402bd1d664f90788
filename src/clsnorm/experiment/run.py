"""One run: train, evaluate, write ``results.json``."""

from __future__ import annotations

import contextlib
import logging
import warnings
from pathlib import Path
from typing import Any

from clsnorm import distributed
from clsnorm.experiment.arithmetic import matrix_products, unfilled_memory
from clsnorm.experiment.assembly import Experiment, build
from clsnorm.experiment.batch_sizes import check_batch_sizes
from clsnorm.experiment.calibration import calibrate, match_head
from clsnorm.experiment.conclusion import conclude
from clsnorm.experiment.frozen_features import encode_once
from clsnorm.experiment.reuse import require_same_data
from clsnorm.files import digest, sync, write_sealed
from clsnorm.freed_memory import keep_freed_memory
from clsnorm.loggers.lifecycle import close_loggers
from clsnorm.loggers.replay import logged_before, restart
from clsnorm.model.encoder.freezing import count_trained
from clsnorm.records.checkpoints import count_events, position, require_sound, table_marks
from clsnorm.run_folder import RunFolder, file_digests, provenance, stored_config

log = logging.getLogger(__name__)
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its advice is for code that calls it directly
warnings.filterwarnings("ignore", message=".*LeafSpec", module="pytorch_lightning")  # Lightning's own
warnings.filterwarnings("ignore", message="The number of training batches")  # of an epoch; it logs by step
warnings.filterwarnings("ignore", message="The `srun` command is available")  # a worker needs none


def execute(config: dict[str, Any], folder: RunFolder) -> None:
    """Trains, evaluates and writes ``results.json``, on this process alone or as one of several workers.

    Raises:
        InputError: If a part refuses its configuration.
    """
    keep_freed_memory()
    experiment = None
    try:
        with folder.recording_errors(parent_reports=distributed.is_active()):
            experiment = build(config, folder)
            with unfilled_memory():
                _train(experiment)
                with _products(experiment):
                    results = conclude(experiment)
            close_loggers(experiment.trainer.loggers, results)
            _write_results(experiment, results)
    except BaseException as error:
        with contextlib.suppress(OSError):
            close_loggers(experiment.trainer.loggers if experiment else [], None)
        if isinstance(error, SystemExit):  # what Lightning turns Ctrl-C into
            raise KeyboardInterrupt from error
        raise
    distributed.barrier()


def _write_results(experiment: Experiment, results: dict[str, Any]) -> None:
    folder = experiment.folder
    if distributed.rank() == 0:
        for path in (folder.selected, *folder.validated_weights().values()):
            sync(path)  # before the results that count on it
        write_sealed(folder.results, results | {file_digests.KEY: _file_digests(experiment)})
        with contextlib.suppress(OSError):  # the run is complete; the same command would try again
            folder.last.unlink(missing_ok=True)
            if experiment.config.get("keep_weights") == "none":
                folder.selected.unlink(missing_ok=True)


def _file_digests(experiment: Experiment) -> dict[str, str | None]:
    """Returns the sha256 of each file without a seal: of what was written, not of what is on the disk now."""
    folder, records = experiment.folder, experiment.records
    tables = {folder.metrics: records.metrics_csv.digest, folder.events: records.events.digest}
    return {
        **{path.name: table.mark()["sha256"] for path, table in tables.items()},
        folder.config.name: stored_config.sha256(experiment.config),
        **{path.name: digest(path) for path in folder.diffs()},
    }


def _train(experiment: Experiment) -> None:
    folder, data, records = experiment.folder, experiment.data, experiment.records
    check_batch_sizes(experiment.config, experiment.data, experiment.module)
    _freeze(experiment)
    resume = folder.last if folder.last.exists() else None
    step = _start(experiment) if resume is None else _resume(experiment, resume)
    if distributed.rank() == 0:
        provenance.write_diff(folder.path, step=step)
    with _products(experiment):
        experiment.trainer.fit(experiment.module, datamodule=data, ckpt_path=resume, weights_only=True)
        if records.selected.last_validated != experiment.trainer.global_step:
            experiment.trainer.validate(experiment.module, datamodule=data, verbose=False)


def _products(experiment: Experiment) -> contextlib.AbstractContextManager[None]:
    tf32 = experiment.module.classifier.encoder.tf32
    return matrix_products(experiment.trainer.strategy.root_device, tf32=tf32)


def _freeze(experiment: Experiment) -> None:
    """Logs what is frozen, and has a frozen encoder encode each text once, before the first step or a resumed one."""
    encoder, records = experiment.module.classifier.encoder, experiment.records
    if distributed.rank() == 0 and encoder.frozen_layers:
        part, (trained, whole) = encoder.frozen_part(), count_trained(experiment.module.classifier)
        log.info("not trained: %s; dropout is off there. %d of %d parameters are trained", part, trained, whole)
    if encoder.is_frozen:
        cache = Path(experiment.config["paths"]["cache"]).expanduser()
        device = experiment.trainer.strategy.root_device
        records.stopwatch.encode(lambda: encode_once(encoder, experiment.data, cache=cache, device=device))


def _start(experiment: Experiment) -> int:
    """Calibrates the normalizer, sets up the head and returns the first step, 0."""
    records, data, classifier = experiment.records, experiment.data, experiment.module.classifier
    records.metrics_csv.keep_until(0)  # rows of a run that ended before its first resume point
    if distributed.rank() == 0:
        records.events.keep_first(0)
    _restart_loggers(experiment)
    device = experiment.trainer.strategy.root_device
    cache = Path(experiment.config["paths"]["cache"]).expanduser() / "calibrations"
    records.stopwatch.calibrate(lambda: calibrate(classifier, data, cache=cache, device=device))
    accumulated = experiment.config["trainer"]["accumulate_grad_batches"]
    match_head(experiment.module, data, device=device, batches_per_step=accumulated)
    return 0


def _resume(experiment: Experiment, checkpoint: Path) -> int:
    """Sets data, series and events back to a resume point and returns its step."""
    records, data = experiment.records, experiment.data
    require_sound(checkpoint, experiment.folder.selected, experiment.module)
    require_same_data(checkpoint, data)
    epoch, start, step = position(checkpoint, batches_per_epoch=data.steps_per_epoch)
    data.resume_at(epoch, start)
    metrics, events = table_marks(checkpoint)
    records.metrics_csv.keep_until(step, metrics)
    if distributed.rank() == 0:
        records.events.keep_first(count_events(checkpoint), events)
    _restart_loggers(experiment)
    if distributed.rank() == 0:
        records.events.add(step=step, kind="resumed")
    log.info("resuming from step %d", step)
    return step


def _restart_loggers(experiment: Experiment) -> None:
    """Sets the store of each logger to the content of ``metrics.csv`` and ``events.csv``."""
    folder = experiment.folder
    if distributed.rank() == 0:  # which has just dropped later rows of both files
        restart(experiment.loggers, folder.path, logged_before(folder.metrics, folder.events))
