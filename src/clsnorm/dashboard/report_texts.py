"""The texts of a run's report split, read again from the data set that its configuration names."""

from __future__ import annotations

from pathlib import Path

from clsnorm.errors import InputError
from clsnorm.experiment.assembly import build_data
from clsnorm.experiment.loaded import read_run
from clsnorm.model import load_tokenizer


def report_texts(folder: Path) -> dict[int, list[str]]:
    """Returns the texts by example id: one, or two for pairs.

    Raises:
        InputError: If the folder holds no finished run, or its data set is unavailable or another one by now.
    """
    config, results = read_run(folder)
    data = build_data(config, load_tokenizer(config["model"]["path"]), packed=False)
    if data.source_record["sha256"] != results["source"]["sha256"]:
        raise InputError(f"Expected data set {data.name!r} to be that of the run, but it has changed since. Restore it")
    columns = data.texts_of("report")
    return {int(number): list(texts) for number, *texts in zip(data.ids_of("report"), *columns, strict=True)}
