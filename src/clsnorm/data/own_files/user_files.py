"""A user's own files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from torchmetrics import Metric, PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics.classification import MulticlassAccuracy

from clsnorm.data.facts import TASKS
from clsnorm.data.formats.delimited import Delimited
from clsnorm.data.formats.readers import Column, ParquetFile
from clsnorm.data.formats.text_lines import COMPRESSED
from clsnorm.data.module import DataModule
from clsnorm.data.own_files.column_roles import infer_roles
from clsnorm.data.own_files.inference import Preview, infer_encoding, preview_cells, preview_json, preview_parquet
from clsnorm.data.sources.source import FilesSource
from clsnorm.errors import InputError, require_choice, require_switch
from clsnorm.files import VISIBLE, matching

EXTENSIONS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
SAME = {".ndjson": ".jsonl"}  # two names of one kind

DELIMITERS = {r"\t": "\t", "tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}  # easier to type than themselves

logger = logging.getLogger(__name__)


class UserFiles(DataModule):
    r"""Files of a user: CSV, TSV, text, JSON Lines or Parquet by extension, with one or two text columns.

    A split is a file, a list of files, a pattern with ``*``, or a folder, of which all files of a known extension are
    taken but those whose name begins with a dot or an underscore. Text files may be compressed (``.gz``, ``.zst``).
    What is None is inferred from the beginning of train, if there is only one sensible reading, and told.

    Args:
        train: The training split.
        report: The report split; None: carved from train.
        select: The select split; None: carved from train.
        text: A column or two; numbers from 0 in files without a header. None: inferred.
        label: The column of classes, or of the number to predict. None: inferred.
        task: ``classification`` or ``regression``.
        delimiter: Between cells: a character, ``\t``, or one of the words tab, comma, semicolon, pipe. None: inferred.
        quoting: Whether quotes enclose cells (RFC 4180). None: inferred.
        header: Whether the first line names the columns (CSV, TSV, text). None: inferred.
        encoding: Of the files. None: inferred.
        metrics: As in `DataModule`; None: accuracy for classes, Pearson and Spearman correlation for numbers.
        monitor: As in `DataModule`; None: the first metric.
        options: The other arguments of `DataModule`.

    Raises:
        InputError: If files have no known extension or differing ones, if one file is given twice, or if something that
            is to be inferred has no reading or several.
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
        **options: Any,
    ) -> None:
        require_switch("data.quoting", quoting, or_null=True)
        require_switch("data.header", header, or_null=True)
        given = {"train": train, "select": select, "report": report}
        splits = {
            split: _names(split, files) for split, files in given.items() if files is not None or split == "train"
        }
        source = partial(FilesSource, splits=splits)
        paths = _paths(source(reader=ParquetFile(), text=[0], label=1))
        columns = [text] if isinstance(text, str | int) else text
        delimiter = DELIMITERS.get(delimiter or "", delimiter)
        header = _header(header, [*(columns or ()), label])
        preview = _preview(paths, delimiter, quoting, header=header, encoding=encoding)
        first = str(paths["train"][0])
        roles = infer_roles(preview.columns, first, text=columns, label=label)
        if not options.get("rank"):
            told = {"encoding": encoding, "delimiter": delimiter, "quoting": quoting, "header": header}
            _tell({**told, "text": text, "label": label}, {**vars(preview.reader), **vars(roles)}, first)
        chosen = metrics or _usual_metrics(task)
        super().__init__(
            {"files": source(reader=preview.reader, text=roles.text, label=roles.label)},
            name="files",
            task=task,
            metrics=chosen,
            monitor=monitor or next(iter(chosen)),
            data_root="",
            **options,
        )


def _names(split: str, given: object) -> list[str]:
    """Returns names and patterns of files; a folder becomes the patterns of the files in it."""
    names: list[str] = []
    for name in given if isinstance(given, Sequence) and not isinstance(given, str) else [given]:
        if not isinstance(name, str) or not name.strip():
            raise InputError(
                f"Expected argument `data.{split}` to name a file, a pattern or a folder, or several, but got {given!r}"
            )
        path = Path(name).expanduser()
        if path.is_dir():
            endings = {_ending(file) for file in matching(path / "**" / VISIBLE) if _kind(file) in EXTENSIONS}
            if not endings:
                raise InputError(f"Expected files with extension {', '.join(EXTENSIONS)} in {name}, but there are none")
            names += [f"{name}/**/{VISIBLE}{ending}" for ending in sorted(endings)]
        else:
            names.append(name)
    return names


def _kind(path: Path) -> str:
    """Returns the extension of a file, that of its content if it is compressed."""
    extension = (path.with_suffix("") if path.suffix.lower() in COMPRESSED else path).suffix.lower()
    return SAME.get(extension, extension)


def _ending(path: Path) -> str:
    return "".join(path.suffixes[-2:]) if path.suffix.lower() in COMPRESSED else path.suffix


def _paths(source: FilesSource) -> dict[str, list[Path]]:
    """Returns the files of each split; all are there, of one kind, and differ."""
    paths = {split: source.paths(Path(), split) for split in source.splits}
    for split, found in paths.items():
        if absent := source.absent(Path(), split):
            raise InputError(f"Expected argument `data.{split}` to name files, but {absent[0]} is not there")
        if not found:
            raise InputError(f"Expected argument `data.{split}` to name a file at least, but it is empty")
    everything = list(chain.from_iterable(paths.values()))
    kinds = {_kind(path) for path in everything}
    if len(kinds) > 1 or not kinds <= set(EXTENSIONS):
        listed = ", ".join(dict.fromkeys(path.name for path in everything))
        raise InputError(f"Expected files of one kind, with extension {', '.join(EXTENSIONS)}, but got {listed}")
    seen: set[Path] = set()
    for path in everything:
        if path.resolve() in seen:
            raise InputError(f"Expected files of its own for each split, each once, but {path} is named twice")
        seen.add(path.resolve())
    return paths


def _header(given: bool | None, columns: Sequence[Column | None]) -> bool | None:
    """Returns whether the first line names the columns, as far as that is settled: a name can stand nowhere else."""
    names = [column for column in columns if isinstance(column, str)]
    if names and given is False:
        raise InputError(
            f"Expected data.text and data.label to be numbers from 0 with data.header=false, but got {', '.join(names)}"
        )
    return True if names else given


def _preview(
    paths: Mapping[str, Sequence[Path]],
    delimiter: str | None,
    quoting: bool | None,
    *,
    header: bool | None,
    encoding: str | None,
) -> Preview:
    first = paths["train"][0]
    kind = _kind(first)
    if kind == ".parquet":
        return preview_parquet(first)
    if encoding is None:
        encoding = infer_encoding(chain.from_iterable(paths.values()))
    if kind == ".jsonl":
        return preview_json(first, encoding=encoding)
    if delimiter is not None:
        Delimited(delimiter=delimiter)  # refuses what cannot be one
    return preview_cells(first, kind, encoding=encoding, delimiter=delimiter, quoting=quoting, header=header)


def _tell(given: Mapping[str, Any], used: Mapping[str, Any], shown: str) -> None:
    """Logs each setting that was not given, as it is used."""
    if given["encoding"] is None and used.get("encoding") in ("cp1252", "latin-1"):
        logger.warning("%s is not UTF-8: %s is a guess, which data.encoding overrides", shown, used["encoding"])
    for name, value in given.items():
        if value is None and name in used:
            logger.info("data.%s=%r, as the beginning of %s suggests", name, used[name], shown)


def _usual_metrics(task: str) -> dict[str, Metric | Callable[..., Metric]]:
    usual: dict[str, Callable[[], dict[str, Metric | Callable[..., Metric]]]] = {
        "classification": lambda: {"accuracy": partial(MulticlassAccuracy, average="micro")},
        "regression": lambda: {"pearson": PearsonCorrCoef(), "spearman": SpearmanCorrCoef()},
    }
    require_choice("data.task", task, TASKS)
    return usual[task]()
