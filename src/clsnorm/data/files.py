"""A user's own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torchmetrics import Metric, PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics.classification import MulticlassAccuracy

from clsnorm.data.arguments import TASKS, require_choice
from clsnorm.data.module import DataModule
from clsnorm.data.readers import Column, Delimited, JsonLines, ParquetFile, Reader
from clsnorm.data.sources import FilesSource
from clsnorm.errors import InputError

EXTENSIONS = (".csv", ".tsv", ".jsonl", ".parquet")


class UserFiles(DataModule):
    """One file a split: CSV, TSV, JSON Lines or Parquet by extension, with one or two text columns.

    Args:
        train: File of the training split.
        report: File of the report split; None: carved from train.
        select: File of the select split; None: carved from train.
        digest: Stands for the files' content in the configuration, from which the run's name is made.
        text: A column or two; numbers from 0 in files without a header.
        label: The column of classes, or of the number to predict.
        task: ``classification`` or ``regression``.
        delimiter: Between cells; None: by extension.
        quoting: Whether quotes enclose cells (RFC 4180); None: in CSV, not in TSV.
        header: Whether the first line names the columns (CSV, TSV).
        encoding: Of the files.
        metrics: As in `DataModule`; None: accuracy for classes, Pearson and Spearman correlation for numbers.
        monitor: As in `DataModule`; None: the first metric.
        options: The other arguments of `DataModule`.

    Raises:
        InputError: If files have no known extension or differing ones, or one file is given for two splits.
    """

    def __init__(
        self,
        *,
        train: str,
        report: str | None,
        select: str | None,
        digest: str = "",
        text: Column | Sequence[Column],
        label: Column,
        task: str,
        delimiter: str | None,
        quoting: bool | None,
        header: bool,
        encoding: str,
        metrics: Mapping[str, Metric | Callable[..., Metric]] | None,
        monitor: str | None,
        **options: Any,
    ) -> None:
        self.digest = digest
        given = {"train": train, "select": select, "report": report}
        splits = {split: str(path) for split, path in given.items() if path is not None}
        reader = _reader(splits, delimiter=delimiter, quoting=quoting, header=header, encoding=encoding)
        columns = [text] if isinstance(text, str | int) else list(text)
        source = FilesSource(splits=splits, reader=reader, text=columns, label=label)
        _require_files(source)
        chosen = metrics or _usual_metrics(task)
        super().__init__(
            {"files": source},
            name="files",
            task=task,
            metrics=chosen,
            monitor=monitor or next(iter(chosen)),
            data_root="",
            **options,
        )


def _require_files(source: FilesSource) -> None:
    paths = {split: source.path(Path(), split) for split in source.splits}
    for split, path in paths.items():
        if not path.is_file():
            raise InputError(f"Expected argument `data.{split}` to be a file, but {source.splits[split]} is not there")
    if len({path.resolve() for path in paths.values()}) < len(paths):
        raise InputError(f"Expected a file of its own for each split, but got {', '.join(source.splits.values())}")


def _reader(
    splits: Mapping[str, str], *, delimiter: str | None, quoting: bool | None, header: bool, encoding: str
) -> Reader:
    extensions = {Path(path).suffix.lower() for path in splits.values()}
    if len(extensions) > 1 or not extensions <= set(EXTENSIONS):
        raise InputError(
            f"Expected files of one kind, with extension {', '.join(EXTENSIONS)}, but got {', '.join(splits.values())}"
        )
    quoted = quoting if quoting is not None else extensions == {".csv"}
    cells = partial(Delimited, quoting=quoted, header=header, encoding=encoding)
    readers: dict[str, Callable[[], Reader]] = {
        ".csv": lambda: cells(delimiter=delimiter or ","),
        ".tsv": lambda: cells(delimiter=delimiter or "\t"),
        ".jsonl": lambda: JsonLines(encoding=encoding),
        ".parquet": ParquetFile,
    }
    return readers[extensions.pop()]()


def _usual_metrics(task: str) -> dict[str, Metric | Callable[..., Metric]]:
    usual: dict[str, Callable[[], dict[str, Metric | Callable[..., Metric]]]] = {
        "classification": lambda: {"accuracy": partial(MulticlassAccuracy, average="micro")},
        "regression": lambda: {"pearson": PearsonCorrCoef(), "spearman": SpearmanCorrCoef()},
    }
    require_choice("task", task, TASKS)
    return usual[task]()
