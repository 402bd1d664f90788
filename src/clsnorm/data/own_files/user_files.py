"""`UserFiles`: a data module for a user's own files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from torchmetrics import Metric, PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics.classification import MulticlassAccuracy

from clsnorm.data.facts import TASKS
from clsnorm.data.formats.delimited import Delimited
from clsnorm.data.formats.reader import Column
from clsnorm.data.formats.text_lines import COMPRESSED
from clsnorm.data.module import DataModule
from clsnorm.data.own_files.column_roles import infer_roles
from clsnorm.data.own_files.inference import Preview, infer_encoding, preview_cells, preview_json, preview_parquet
from clsnorm.data.sources.files_source import FilesSource, paths_of
from clsnorm.errors import InputError, require_choice, require_switch
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

logger = logging.getLogger(__name__)


class UserFiles(DataModule):
    r"""A user's files: CSV, TSV, text, JSON Lines or Parquet by extension, with one or two text columns.

    A split is a file, a list of files, a pattern with ``*``, or a folder: then all files with a known extension are
    read, except those whose name starts with a dot or an underscore. Text files may be compressed (``.gz``, ``.zst``).
    Arguments that are None are inferred from the beginning of train, if only one answer is plausible, and logged.

    Args:
        train: The training split.
        report: The report split; None: carved from train.
        select: The select split; None: carved from train.
        text: One column, or two for pairs; numbers from 0 in files without a header. None: inferred.
        label: The column of classes, or of the number to predict. None: inferred.
        task: ``classification`` or ``regression``.
        delimiter: Separates cells: a character, ``\t``, or one of the words tab, comma, semicolon, pipe. None:
            inferred.
        quoting: Whether quotes enclose cells (RFC 4180). None: inferred.
        header: Whether the first line names the columns (CSV, TSV, text). None: inferred.
        encoding: Encoding of the files. None: inferred.
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
        drop_labels: Sequence[Any] = (),
        normalize_labels: bool = False,
        **options: Any,
    ) -> None:
        splits = _splits(train, select, report)
        columns = [text] if isinstance(text, str | int) else text
        given = _Given(
            text=columns,
            label=label,
            delimiter=DELIMITERS.get(delimiter or "", delimiter),
            quoting=quoting,
            header=_header(header, [*(columns or ()), label]),
            encoding=encoding,
        )
        source = _source(splits, given, log=not options.get("rank"))
        source = replace(source, names=dict.fromkeys(drop_labels) or None)
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


@dataclass(frozen=True, kw_only=True)
class _Given:
    """The format as far as the user gave it; None is inferred."""

    encoding: str | None
    delimiter: str | None
    quoting: bool | None
    header: bool | None
    text: Sequence[Column] | None
    label: Column | None

    def __post_init__(self) -> None:
        require_switch("data.quoting", self.quoting, or_null=True)


def _source(splits: Mapping[str, list[str]], given: _Given, *, log: bool) -> FilesSource:
    """Returns the source of the user's rows; logs what was inferred if ``log``."""
    paths = {split: paths_of(names, Path()) for split, names in splits.items()}
    _require_files(paths)
    first = paths["train"][0]
    preview = _preview(paths, given)
    roles = infer_roles(preview.columns, str(first), text=given.text, label=given.label)
    if log:
        _log_inferred(vars(given), {**vars(preview.reader), **vars(roles)}, first)
    return FilesSource(splits=splits, reader=preview.reader, text=roles.text, label=roles.label)


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
    endings = {_ending(file) for file in files if _kind(file) in EXTENSIONS}
    if not endings:
        raise InputError(f"Expected files with extension {', '.join(EXTENSIONS)} in {folder}, but there are none")
    return [f"{folder}/**/{VISIBLE}{ending}" for ending in sorted(endings)]


def _kind(path: Path) -> str:
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
    kinds = {_kind(path) for path in everything}
    if len(kinds) > 1 or not kinds <= set(EXTENSIONS):
        listed = ", ".join(dict.fromkeys(path.name for path in everything))
        raise InputError(f"Expected files of one format, with extension {', '.join(EXTENSIONS)}, but got {listed}")
    seen: set[Path] = set()
    for path in everything:
        if path.resolve() in seen:
            raise InputError(f"Expected different files for each split, each named once, but {path} is named twice")
        seen.add(path.resolve())


def _header(given: bool | None, columns: Sequence[Column | None]) -> bool | None:
    """Returns True if columns are given by name, since only a header has names; else ``given``."""
    require_switch("data.header", given, or_null=True)
    names = [column for column in columns if isinstance(column, str)]
    if names and given is False:
        raise InputError(
            f"Expected data.text and data.label to be numbers from 0 with data.header=false, but got {', '.join(names)}"
        )
    return True if names else given


def _preview(paths: Mapping[str, Sequence[Path]], given: _Given) -> Preview:
    """Returns a reader for the files, and the beginning of the first."""
    first = paths["train"][0]
    kind = _kind(first)
    if kind == ".parquet":
        return preview_parquet(first)
    encoding = given.encoding
    if encoding is None:
        encoding = infer_encoding(chain.from_iterable(paths.values()))
    if kind == ".jsonl":
        return preview_json(first, encoding=encoding)
    if given.delimiter is not None:
        Delimited(delimiter=given.delimiter)  # raises if it cannot be one
    return preview_cells(
        first, kind, encoding=encoding, delimiter=given.delimiter, quoting=given.quoting, header=given.header
    )


def _log_inferred(given: Mapping[str, Any], used: Mapping[str, Any], path: Path) -> None:
    """Logs the value of each setting that was inferred."""
    if given["encoding"] is None and used.get("encoding") in ("cp1252", "latin-1"):
        logger.warning(
            "%s is not UTF-8; read as %s, which is a guess: set data.encoding if it is wrong", path, used["encoding"]
        )
    for name, value in given.items():
        if value is None and name in used:
            logger.info("data.%s=%r, inferred from the beginning of %s", name, used[name], path)


def _usual_metrics(task: str) -> dict[str, Metric | Callable[..., Metric]]:
    usual: dict[str, Callable[[], dict[str, Metric | Callable[..., Metric]]]] = {
        "classification": lambda: {"accuracy": partial(MulticlassAccuracy, average="micro")},
        "regression": lambda: {"pearson": PearsonCorrCoef(), "spearman": SpearmanCorrCoef()},
    }
    require_choice("data.task", task, TASKS)
    return usual[task]()
