"""The command: writes an exported model, if it answers as the run does, and uploads it."""

from __future__ import annotations

import contextlib
import logging
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsnorm.errors import InputError, require_choice
from clsnorm.experiment.assembly import build_classifier, build_data
from clsnorm.experiment.loaded import load_run
from clsnorm.experiment.prediction import Predictor
from clsnorm.export import standalone
from clsnorm.export.hub_upload import push, require_repository
from clsnorm.export.model_card import model_card, scores
from clsnorm.export.stock_check import compare, largest_difference, standalone_logits
from clsnorm.export.stock_model import stock_model
from clsnorm.files import DRAFT, digest, note_standing, remove_empty, write_sealed, writing
from clsnorm.run_folder import RunFolder, provenance
from clsnorm.seals import read_json

if TYPE_CHECKING:
    from clsnorm.experiment.loaded import LoadedRun

log = logging.getLogger(__name__)
RECORD = "export.json"
SWITCH = ("true", "false")


def export(given: Mapping[str, str]) -> Path:
    """Exports the run that ``given``, the command's options, names, unless that is done; returns the folder.

    Raises:
        InputError: If an option is refused, the folder holds no finished run, or the run has no stock form.
        DifferentModelError: If the exported model does not answer as the run does; then nothing is left behind.
    """
    for name in ("force", "public"):
        require_choice(name, given.get(name, "false"), SWITCH)
    if "push" in given:
        require_repository(given["push"])
    folder = RunFolder(Path(given["run"]).expanduser())
    folder.require_results()
    output = Path(given.get("output", folder.path / "export")).expanduser()
    weights = digest(folder.selected)
    if _is_done(output, weights, force=given.get("force") == "true"):
        print(f"done before: {output}; force=true exports again")
    else:
        with _draft(output) as draft:
            record = _write(
                load_run(folder.path), draft, {"run": folder.path.resolve().name, "weights": weights}, given
            )
        check = record["check"]
        print(
            f"written to {output}: logits of {check['rows']} rows differ by at most {check['largest_difference']:.1e} "
            "of their range from the run's, all answers are equal"
        )
    if "push" in given:
        print(f"uploaded to {push(output, given['push'], private=given.get('public') != 'true')}")
    return output


def _write(run: LoadedRun, draft: Path, about: Mapping[str, str], given: Mapping[str, str]) -> dict[str, Any]:
    """Writes the files of an exported model to ``draft`` and returns the content of ``export.json``."""
    predictor = _computing_as_stock_models(run)
    model, construction = stock_model(run.classifier, predictor.classes)
    data = build_data(run.config, run.tokenizer, packed=run.classifier.encoder.can_pack)
    columns = data.texts_of("report")
    model.save_pretrained(draft)
    run.tokenizer.save_pretrained(draft)
    texts = list(zip(*columns, strict=True))
    prediction, own = predictor.predict(texts, batch_size=standalone.BATCH), run.predict(texts)
    found = standalone_logits(draft, columns, max_length=run.config["data"]["max_length"])
    check = {**compare(prediction.logits, found), "own_rounding": largest_difference(prediction.logits, own.logits)}
    record = {
        **about,
        "architecture": type(model).__name__,
        "construction": construction,
        "normalizer": run.results["normalizer"],
        "check": check,
        "scores": scores(data, prediction),
        "license": given.get("license"),
        "trained_by": run.results.get("commit"),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }
    (draft / "README.md").write_text(model_card(run, record["scores"], record), encoding="utf-8")
    write_sealed(draft / RECORD, record)
    return record


def _computing_as_stock_models(run: LoadedRun) -> Predictor:
    """Returns the run's model without packed batches, mixed precision and shortcuts in the last layer.

    With them its encoder rounds otherwise; so, only the head can differ from that of the exported model.
    """
    config = {
        **run.config,
        "data": {**run.config["data"], "packed": False},
        "model": {**run.config["model"], "last_layer_cls_only": False},
        "trainer": {**run.config.get("trainer", {}), "precision": "32-true"},
    }
    classifier, _ = build_classifier(config, num_outputs=run.classifier.num_outputs)
    classifier.load_state_dict(run.classifier.state_dict())
    return Predictor(classifier.eval(), run.tokenizer, config, run.results)


def _is_done(output: Path, weights: str, *, force: bool) -> bool:
    """Returns whether ``output`` is an export of these weights.

    Raises:
        InputError: If the folder holds anything else, or an export of other weights that is not to be replaced.
    """
    if not output.exists():
        return False
    if not (output / RECORD).is_file():
        raise InputError(f"Expected output={output} to be a new folder or an export, but it is neither. Choose another")
    found = read_json(output / RECORD, "Delete the folder, and the same command writes it again")
    if not force and found.get("weights") != weights:
        raise InputError(
            f"Expected output={output} to be new, but it is an export of {found.get('run')} with other weights. Choose "
            "another, or replace it with force=true"
        )
    return not force


@contextlib.contextmanager
def _draft(output: Path) -> Iterator[Path]:
    """Yields a new folder that becomes ``output`` if nothing was raised; else nothing is left of it."""
    note_standing(output.parent)
    draft = output.parent / f"{DRAFT}{uuid.uuid4().hex}"
    with writing(output):
        draft.mkdir(parents=True)
    try:
        yield draft
        with writing(output):
            if output.exists():
                shutil.rmtree(output)
            draft.rename(output)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        remove_empty(output.parent)
