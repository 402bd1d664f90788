"""The command: a run's answers to one text, or to each row of a file or of standard input."""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clsnorm.errors import InputError, refuse, require_choice
from clsnorm.experiment.loaded import load_run
from clsnorm.freed_memory import keep_freed_memory
from clsnorm.launch.devices import device_of
from clsnorm.predict.answer_files import AnswerWriter, answers, joined, writer_of, writing_answers
from clsnorm.predict.text_files import FORMATS, TextFile, open_texts

if TYPE_CHECKING:
    from clsnorm.data.formats.reader import Column
    from clsnorm.experiment.loaded import LoadedRun

log = logging.getLogger(__name__)
STDIN = "-"


def predict(given: Mapping[str, str]) -> None:
    """Predicts what ``given``, the command's options, names, and prints or writes the answers.

    Raises:
        InputError: If an option is refused, the folder holds no finished run, or the rows are faulty.
    """
    _check(given)
    keep_freed_memory()
    run = load_run(given["run"])
    run.classifier.to(device_of(given.get("accelerator", "auto")))
    if "text" in given:
        _print_one(run, given)
        return
    with _file(given) as (path, form):
        source = open_texts(
            path, form=form, columns=_columns(given), usual=usual_columns(run), pairs=run.predictor.pairs
        )
        output = given.get("output")
        if output is None:
            if source.form == "parquet":
                raise InputError("Expected output=FILE for a Parquet file, whose rows cannot be printed")
            _write(run, source, writer_of(sys.stdout, source.form))
            return
        with writing_answers(Path(output), _form_of_output(output)) as writer:
            rows = _write(run, source, writer)
    print(f"{rows} rows written to {output}")


def _check(given: Mapping[str, str]) -> None:
    """Refuses options that contradict each other, before the model is loaded."""
    if "text" in given and (extra := [key for key in ("file", "output", "columns", "format") if key in given]):
        raise InputError(f"Expected text= without {extra[0]}=, which belongs to a file of texts. Leave one out")
    if "second" in given and "text" not in given:
        raise InputError("Expected second= together with text=: the two texts of a pair")
    if "text" not in given and "file" not in given and sys.stdin.isatty():
        raise InputError("Expected text=..., file=..., or texts on standard input, a line each, but got none of them")
    if "output" in given:
        _form_of_output(given["output"])


def _form_of_output(output: str) -> str:
    """Returns the format of a file to write, by its extension."""
    kinds = {extension: form for form, extension in FORMATS.items() if form != "lines"}
    if (kind := Path(output).suffix.lower()) not in kinds:
        refuse("output", f"a file with an extension among {', '.join(kinds)}", output)
    return kinds[kind]


def _print_one(run: LoadedRun, given: Mapping[str, str]) -> None:
    texts = [given[key] for key in ("text", "second") if key in given]
    found = answers(run.predict([texts]))
    for name, (value,) in found.items():
        print(f"{name:<24} {value if isinstance(value, str | None) else f'{value:.6f}'}")


def _columns(given: Mapping[str, str]) -> list[Column]:
    named = given.get("columns", "")
    return [int(name) if name.isdecimal() else name for name in named.strip("[]").split(",") if name]


def usual_columns(run: LoadedRun) -> list[Column]:
    """Returns the text columns of the run's own data, as far as its configuration names them."""
    text = run.config["data"].get("text")
    return [] if not text else [text] if isinstance(text, str) else [name for name in text if isinstance(name, str)]


@contextlib.contextmanager
def _file(given: Mapping[str, str]) -> Iterator[tuple[Path, str | None]]:
    """Yields the file to read and its format, if that is known; standard input is copied to a file."""
    form = given.get("format")
    if given.get("file", STDIN) != STDIN:
        yield Path(given["file"]).expanduser(), form
        return
    with tempfile.TemporaryDirectory() as folder:
        form = form or "lines"
        require_choice("format", form, FORMATS)
        path = Path(folder, f"stdin{FORMATS[form]}")
        with path.open("wb") as copy:
            for block in iter(lambda: sys.stdin.buffer.read(1 << 20), b""):
                copy.write(block)
        yield path, form


def _write(run: LoadedRun, source: TextFile, writer: AnswerWriter) -> int:
    """Writes each row with its answer, and returns how many there are."""
    predictor, count, empty = run.predictor, 0, 0
    for rows in source.chunks():
        columns = source.columns_of(rows)
        empty += sum(not all(text.strip() for text in row) for row in zip(*columns, strict=True))
        writer.add(joined(rows, predictor.predict(list(zip(*columns, strict=True)))))
        count += len(columns[0])
    if empty:
        log.warning("%d of %d rows have an empty text: their answers are those to nothing", empty, count)
    return count
