"""`UserFiles`: a data module for a user's own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from torchmetrics import Metric, PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics.classification import MulticlassAccuracy

from clsnorm.data.facts import TASKS
from clsnorm.data.formats.reader import Column
from clsnorm.data.formats.text_lines import COMPRESSED
from clsnorm.data.module import DataModule
from clsnorm.data.own_files.own_source import Given, own_source
from clsnorm.data.sources.files_source import paths_of
from clsnorm.errors import InputError, require_choice
from clsnorm.files import VISIBLE, matching

EXTENSIONS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
SAME = {".ndjson": ".jsonl"}  # two extensions of one format

DELIMITERS = {
    r"\t": "\t",
    "tab": "\t",
    "comma": ",",
    "semicolon": ";",
    "pipe": "|",
}  # easier to type


class UserFiles(DataModule):
    r"""A user's files: CSV, TSV, text, JSON Lines or Parquet by extension, with one or two text columns.

    A split is a file, a list of files, a pattern with ``*``, or a folder: then all files with a known extension are
    read, except those whose name starts with a dot or an underscore. Text files may be compressed (``.gz``, ``.zst``).
    Arguments that are None are inferred from the beginning of train, if only one answer is plausible, and logged
    together with the first rows as they are read.

    Args:
        train: The training split.
        report: The report split; None: carved from train.
        select: The select split; None: carved from train.
        text: One column, or two for pairs, by name or by number from 0. None: inferred.
        label: The column of classes, or of the number to predict. None: inferred.
        task: ``classification`` or ``regression``.
        delimiter: Separates cells: a character, ``\t``, or one of the words tab, comma, semicolon, pipe. None:
            inferred.
        quoting: Whether quotes enclose cells (RFC 4180). None: inferred.
        escape: Whether a backslash before quotes within a cell escapes them. None: inferred.
        header: Whether a line names the columns (CSV, TSV, text). None: inferred.
        skip_lines: Lines above the header, or above the first row without one (CSV, TSV, text). None: inferred.
        comment: Lines that begin with this are skipped (CSV, TSV, text). None: no line is.
        encoding: Encoding of the files. None: that of a byte-order mark, else UTF-8; other files are refused.
        metrics: As in `DataModule`; None: accuracy for classes, Pearson and Spearman correlation for numbers.
        monitor: As in `DataModule`; None: the first metric.
        drop_labels: Labels whose rows are left out and counted; None is an empty label. They mean what they would mean
            in ``data.labels``.
        normalize_labels: Whether labels that differ only in case, spaces or Unicode form are one class.
        options: The other arguments of `DataModule`.

    Raises:
        InputError: If files have no known extension or different ones, if a file is named twice, or if an argument
            cannot be inferred.
    """

    def __init__(
        self,
        *,
        train: str | Sequence[str],
        report: str | Sequence[str] | None,
        select: str | Sequence[str] | None,
        text: Column | Sequence[Column] | None,
        label: Column | None,
        task: str,
        delimiter: str | None,
        quoting: bool | None,
        header: bool | None,
        encoding: str | None,
        metrics: Mapping[str, Metric | Callable[..., Metric]] | None,
        monitor: str | None,
        escape: bool | None = None,
        skip_lines: int | None = None,
        comment: str | None = None,
        drop_labels: Sequence[Any] = (),
        normalize_labels: bool = False,
        **options: Any,
    ) -> None:
        splits = _splits(train, select, report)
        given = Given(
            text=[text] if isinstance(text, str | int) else text,
            label=label,
            delimiter=DELIMITERS.get(delimiter or "", delimiter),
            quoting=quoting,
            escape=escape,
            header=header,
            skip_lines=skip_lines,
            comment=comment,
            encoding=encoding,
            labels=options.get("labels"),
        )
        paths = {split: paths_of(names, Path()) for split, names in splits.items()}
        _require_files(paths)
        source = own_source(splits, kind_of(paths["train"][0]), given, log=not options.get("rank"))
        source = replace(source, names=_dropped(drop_labels))
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
        self.facts = replace(self.facts, normalize_labels=normalize_labels)


def _splits(train: object, select: object, report: object) -> dict[str, list[str]]:
    given = {"train": train, "select": select, "report": report}
    return {split: _names(split, files) for split, files in given.items() if files is not None or split == "train"}


def _names(split: str, given: object) -> list[str]:
    """Returns names and patterns of files; a folder becomes the patterns of the files in it."""
    names: list[str] = []
    for name in given if isinstance(given, Sequence) and not isinstance(given, str) else [given]:
        if not isinstance(name, str) or not name.strip():
            raise InputError(
                f"Expected argument `data.{split}` to name a file, a pattern or a folder, or several, but got {given!r}"
            )
        names += _patterns(name) if Path(name).expanduser().is_dir() else [name]
    return names


def _patterns(folder: str) -> list[str]:
    """Returns a pattern for each extension of the data files in a folder."""
    files = matching(Path(folder).expanduser() / "**" / VISIBLE)
    endings = {_ending(file) for file in files if kind_of(file) in EXTENSIONS}
    if not endings:
        raise InputError(f"Expected files with extension {', '.join(EXTENSIONS)} in {folder}, but there are none")
    return [f"{folder}/**/{VISIBLE}{ending}" for ending in sorted(endings)]


def kind_of(path: Path) -> str:
    """Returns the extension that names the format; of a compressed file, the one before ``.gz`` or ``.zst``."""
    extension = (path.with_suffix("") if path.suffix.lower() in COMPRESSED else path).suffix.lower()
    return SAME.get(extension, extension)


def _ending(path: Path) -> str:
    return "".join(path.suffixes[-2:]) if path.suffix.lower() in COMPRESSED else path.suffix


def _require_files(paths: Mapping[str, Sequence[Path]]) -> None:
    """Raises InputError unless all files exist, have one format, and are named once."""
    for split, found in paths.items():
        if absent := [path for path in found if not path.is_file()]:
            raise InputError(f"Expected argument `data.{split}` to name files, but {absent[0]} does not exist")
        if not found:
            raise InputError(f"Expected argument `data.{split}` to name at least one file, but it is empty")
    everything = list(chain.from_iterable(paths.values()))
    kinds = {kind_of(path) for path in everything}
    if len(kinds) > 1 or not kinds <= set(EXTENSIONS):
        listed = ", ".join(dict.fromkeys(path.name for path in everything))
        raise InputError(f"Expected files of one format, with extension {', '.join(EXTENSIONS)}, but got {listed}")
    seen: set[Path] = set()
    for path in everything:
        if path.resolve() in seen:
            raise InputError(f"Expected different files for each split, each named once, but {path} is named twice")
        seen.add(path.resolve())


def _dropped(labels: Sequence[Any]) -> dict[Any, None] | None:
    """Returns the renaming that leaves out rows with these labels."""
    for label in labels:
        if isinstance(label, list | dict):
            raise InputError(f"Expected argument `data.drop_labels` to list labels, but got {label!r} among them")
    return dict.fromkeys(labels) or None


def _usual_metrics(task: str) -> dict[str, Metric | Callable[..., Metric]]:
    usual: dict[str, Callable[[], dict[str, Metric | Callable[..., Metric]]]] = {
        "classification": lambda: {"accuracy": partial(MulticlassAccuracy, average="micro")},
        "regression": lambda: {"pearson": PearsonCorrCoef(), "spearman": SpearmanCorrCoef()},
    }
    require_choice("data.task", task, TASKS)
    return usual[task]()
