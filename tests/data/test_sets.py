"""Each data set's YAML fits its published layout: small files written in that layout, and the real ones if present."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from clsnorm.config.roles import check_node
from clsnorm.data import (
    Alternatives,
    Delimited,
    FilePerClass,
    FilePerText,
    FilesSource,
    JsonLines,
    JsonLists,
    LabelledLines,
    LineAligned,
    Reader,
    Unavailable,
)
from clsnorm.data.rows.labels import Classes
from clsnorm.data.rows.values import Values
from clsnorm.errors import InputError

CONF = Path(__file__).parents[2] / "conf"
PUBLISHED = Path(os.environ.get("CLSNORM_DATA") or "no folder")
Row = dict[Any, str]


def configurations() -> dict[str, dict[str, Any]]:
    """The resolved configuration of each data set with published files."""
    found = {}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for path in sorted((CONF / "data").glob("*.yaml")):
            data = compose(f"data/{path.stem}").data
            if "files" in data.get("sources", {}):
                node = OmegaConf.create({"data": data, "paths": {"data": "", "cache": ""}})
                plain: Any = OmegaConf.to_container(node, resolve=True)
                found[path.stem] = plain["data"]
    return found


SETS = configurations()


def files_source(node: dict[str, Any]) -> FilesSource:
    from hydra.utils import instantiate

    check_node(node, "data")
    return instantiate(node["sources"]["files"], _convert_="all")


def read(source: FilesSource, root: Path, split: str, labels: Sequence[str] | None) -> tuple[list[Any], list[Any], int]:
    """The texts, the class ids or values, and the published rows of a split."""
    texts: list[Any] = []
    coded: list[np.ndarray] = []
    rows = 0
    coder = Values() if labels is None else Classes(labels, None, stated=True, merged=False)
    for table in source.read(root, split):
        texts += zip(*table.texts, strict=True)
        coded.append(coder.encode(table))
        rows += len(table.lines)
    coder.finish()
    return texts, coder.final(np.concatenate(coded)).tolist(), rows


# Small files in the layout that a reader is for


def write_delimited(reader: Delimited, paths: list[Path], rows: list[Row]) -> None:
    named = [name for name in rows[0] if isinstance(name, str)]
    header = ["other", *named, "more"] if named else None
    width = 0 if named else max(rows[0]) + 1
    lines = [[row.get(name, "-") for name in header or range(width)] for row in rows]
    if reader.ragged:
        lines[1::2] = [[*line, "one", "more"] for line in lines[1::2]]
    with paths[0].open("w", encoding=reader.encoding, newline="") as file:
        if reader.quoting:
            csv.writer(file, delimiter=reader.delimiter, quoting=csv.QUOTE_ALL).writerows(
                [header, *lines] if header else lines
            )
        else:
            file.writelines(reader.delimiter.join(line) + "\n" for line in ([header, *lines] if header else lines))


def write_labelled_lines(reader: LabelledLines, paths: list[Path], rows: list[Row]) -> None:
    after = "" if reader.label_until is None else f"{reader.label_until}fine"
    paths[0].write_text("".join(f"{row['label']}{after} {row['text']}\n" for row in rows), encoding=reader.encoding)


def write_json_lines(reader: JsonLines, paths: list[Path], rows: list[Row]) -> None:
    booleans = {"true": True, "false": False}
    objects = [{name: booleans.get(cell, cell) for name, cell in row.items()} | {"idx": 0} for row in rows]
    paths[0].write_text("".join(json.dumps(one) + "\n" for one in objects), encoding=reader.encoding)


def write_line_aligned(reader: LineAligned, paths: list[Path], rows: list[Row]) -> None:
    groups = len(paths) // len(reader.columns)
    for at, path in enumerate(paths):
        group, part = divmod(at, len(reader.columns))
        own = rows[group * len(rows) // groups : (group + 1) * len(rows) // groups]
        lines = [reader.delimiter.join(row.get(name, "-") for name in reader.columns[part]) for row in own]
        path.write_text("".join(line + "\n" for line in lines), encoding=reader.encoding)


def write_file_per_class(reader: FilePerClass, paths: list[Path], rows: list[Row]) -> None:
    for path, name in zip(paths, reader.classes, strict=True):
        path.write_text("".join(f"{r['text']}\n" for r in rows if r["label"] == name), encoding=reader.encoding)


def write_file_per_text(reader: FilePerText, paths: list[Path], rows: list[Row]) -> None:
    for number, row in enumerate(rows):
        pattern = next(path for path in paths if path.parent.name in ("*", row["label"]))
        folder = pattern.parents[1] / row["label"]
        folder.mkdir(parents=True, exist_ok=True)
        head = "" if reader.head else "From: someone\nSubject: something\n\n"
        (folder / pattern.name.replace("*", f"{number:03}")).write_text(head + row["text"], encoding=reader.encoding)


def write_json_lists(reader: JsonLists, paths: list[Path], rows: list[Row]) -> None:
    stored = json.loads(paths[0].read_text()) if paths[0].exists() else {}  # the splits share a file
    cells = [[row[name] for name in reader.columns] for row in rows]
    ends = [at * len(cells) // len(reader.lists) for at in range(len(reader.lists) + 1)]
    stored |= {key: cells[ends[at] : ends[at + 1]] for at, key in enumerate(reader.lists)}
    paths[0].write_text(json.dumps(stored))


def write_alternatives(reader: Alternatives, paths: list[Path], rows: list[Row]) -> None:
    count, root = len(reader.alternatives), ElementTree.Element("corpus")
    for at in range(0, len(rows), count):
        item = rows[at : at + count]
        own = {name: cell for name, cell in item[0].items() if name not in ("alternative", "chosen")}
        right = next(number for number, row in enumerate(item, 1) if row["chosen"] == "1")
        element = ElementTree.SubElement(root, "item", {reader.answer: str(right)})
        texts = {**own, **{name: row["alternative"] for name, row in zip(reader.alternatives, item, strict=True)}}
        for name, text in texts.items():
            ElementTree.SubElement(element, name).text = text
    ElementTree.ElementTree(root).write(paths[0], encoding="utf-8")


WRITERS: dict[type[Reader], Callable[[Any, list[Path], list[Row]], None]] = {
    Delimited: write_delimited,
    LabelledLines: write_labelled_lines,
    JsonLines: write_json_lines,
    LineAligned: write_line_aligned,
    FilePerClass: write_file_per_class,
    FilePerText: write_file_per_text,
    JsonLists: write_json_lists,
    Alternatives: write_alternatives,
}


def write_split(source: FilesSource, root: Path, split: str, answers: list[str]) -> list[tuple[str, ...]]:
    """Writes rows with these labels in the published layout, and returns the texts that must be read back."""
    parts = [[text] if isinstance(text, str | int) else list(text) for text in source.text]
    spelt = {name: raw for raw, name in (source.names or {}).items()}
    rows, texts = [], []
    for number, answer in enumerate(answers):
        # The rows of one item differ only in their last text.
        item = number // 2 if source.label == "chosen" else number
        cells = {c: f"{split} {item} of {c}" for part in parts for c in part}
        cells[parts[-1][-1]] = f'{split} {number} "as it is'
        texts.append(tuple(" ".join(cells[column] for column in part) for part in parts))
        rows.append({**cells, source.label: spelt.get(answer, answer)})
    given = source.splits[split]
    paths = [root / path for path in ([given] if isinstance(given, str) else given)]
    for path in paths:
        if "*" not in str(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    reader = source.reader_of(split)
    WRITERS[type(reader)](reader, paths, rows)
    return texts


@pytest.mark.parametrize("key", SETS)
def test_files_in_the_published_layout_round_trip(key: str, tmp_path: Path) -> None:
    node = SETS[key]
    source, labels = files_source(node), node["labels"]
    expected: list[Any] = list(range(len(labels))) * 2 if labels else [0.5, 1.0, 4.25]
    named = labels and not (isinstance(source.reader, LabelledLines) and any(" " in name for name in labels))
    spelt = [labels[answer] if named else str(answer) for answer in expected]
    written = {split: write_split(source, tmp_path, split, spelt) for split in source.splits}
    source.fingerprint(tmp_path)  # finds every file
    for split, texts in written.items():
        found, answers, _ = read(source, tmp_path, split, labels)
        assert sorted(zip(found, answers, strict=True)) == sorted(zip(texts, expected, strict=True))


@pytest.mark.parametrize("key", SETS)
def test_absent_files_are_reported_with_a_remedy(key: str, tmp_path: Path) -> None:
    source = files_source(SETS[key])
    with pytest.raises(Unavailable, match=r"not found"):
        source.fingerprint(tmp_path)
    assert "CLSNORM_DATA" in source.cure


# The real files. A folder may lack parts of a set, so each split is read separately.


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="CLSNORM_DATA names no folder of published data sets")
@pytest.mark.parametrize(("key", "split"), [(key, split) for key, node in SETS.items() for split in node["rows"]])
def test_published_files_hold_the_stated_rows(key: str, split: str) -> None:
    node = SETS[key]
    source, stated = files_source(node), node["rows"][split]
    if absent := source.absent(PUBLISHED, split):
        pytest.skip(f"{absent[0]} is not there")
    texts, answers, rows = read(source, PUBLISHED, split, node["labels"])
    if key == "boolq" and split == "train" and rows == 32:
        pytest.skip("the folder holds the 32 rows of FewGLUE under this name")
    assert stated in (None, rows)
    empty = sum(not all(cell and cell.strip() for cell in row) for row in texts)
    assert empty == EMPTY.get((key, split), 0)
    if node["labels"] and split == "train":
        assert set(answers) == {i for i, name in enumerate(node["labels"]) if name not in node["untrained"]}


EMPTY = {("cr", "train"): 4, ("mpqa", "train"): 3, ("tweet_hate", "train"): 7, ("tweet_hate", "select"): 1}


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="CLSNORM_DATA names no folder of published data sets")
def test_a_sample_in_place_of_a_part_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    from clsnorm.config.roles import instantiate

    path = PUBLISHED / "BoolQ" / "train.jsonl"
    if not path.is_file() or path.read_bytes().count(b"\n") != 32:
        pytest.skip("the folder holds no such sample")
    node = {**SETS["boolq"], "data_root": str(PUBLISHED), "cache": str(tmp_path)}
    data = instantiate(node, "data", tokenizer=tokenizer, seed_order=0, seed_subset=0, seed_noise=0)
    with pytest.raises(InputError, match=r"Expected 9427 rows in \S*BoolQ/train.jsonl, but found 32"):
        data.prepare()
