"""Files of other formats under the name of a text file are named."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from clsnorm.data import Delimited, ParquetFile
from clsnorm.data.formats.signatures import compression_of
from clsnorm.errors import InputError

TABLE = pa.table({"text": [f"text {i}" for i in range(20)], "label": ["a", "b"] * 10})
ROWS = b"text,label\n" + b"".join(b"text %d,%c\n" % (i, 97 + i % 2) for i in range(20))


def zipped(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, ROWS)


def database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table rows (text, label)")
    connection.commit()
    connection.close()


def in_tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("a.csv")
        info.size = len(ROWS)
        archive.addfile(info, io.BytesIO(ROWS))


def ipc_stream(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)


WRITERS: dict[str, Callable[[Path], object]] = {
    "an Excel workbook": lambda path: zipped(path, "[Content_Types].xml", "xl/workbook.xml"),
    "a Word document": lambda path: zipped(path, "[Content_Types].xml", "word/document.xml"),
    "a zip archive": lambda path: zipped(path, "a.csv"),
    "an old Excel or Word file": lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)),
    "a gzip file": lambda path: path.write_bytes(gzip.compress(gzip.compress(ROWS))),
    "a bzip2 file": lambda path: path.write_bytes(bz2.compress(ROWS)),
    "an xz file": lambda path: path.write_bytes(lzma.compress(ROWS)),
    "a tar archive": in_tar,
    "a Parquet file": lambda path: pq.write_table(TABLE, path),
    "an Arrow or Feather file": lambda path: feather.write_feather(TABLE, str(path)),
    "an ORC file": lambda path: orc.write_table(TABLE, str(path)),
    "an SQLite database": database,
    "a NumPy file": lambda path: np.save(path.open("wb"), np.arange(9)),
    "a Python pickle": lambda path: path.write_bytes(pickle.dumps({"text": ["a"], "label": ["b"]})),
    "a PDF document": lambda path: path.write_bytes(b"%PDF-1.7\n" + ROWS),
    "a pointer of Git LFS": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    "a web page": lambda path: path.write_text("<!DOCTYPE html>\n<html><head><title>404, not found</title></head>"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_the_format_of_a_file_with_a_wrong_name_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.csv"
    WRITERS[kind](path)
    with pytest.raises(
        InputError, match=rf"^Expected text in a, but by its first bytes it is {kind}.*\. [A-Z]"
    ) as caught:
        list(Delimited(delimiter=",").read([path], ["text"], shown=["a"]))
    assert "\n" not in str(caught.value)
    if kind != "a Parquet file":
        with pytest.raises(
            InputError, match=rf"^Expected Parquet in a, but by its first bytes it is {kind.split()[0]} "
        ):
            list(ParquetFile().read([path], ["text"], shown=["a"]))


def test_a_stream_of_arrow_is_named(tmp_path: Path) -> None:
    ipc_stream(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"it is an Arrow or Feather file\. Write it as Parquet"):
        list(Delimited(delimiter=",").read([tmp_path / "a.csv"], ["text"], shown=["a"]))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_compressed_file_is_read_whatever_its_name(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.csv"
    with pa.CompressedOutputStream(str(path), compression) as stream:
        stream.write(ROWS)
    assert compression_of(path.read_bytes()) == compression
    (table,) = Delimited(delimiter=",").read([path], ["text", "label"], shown=["a"])
    assert table.columns == TABLE.to_pydict()


@pytest.mark.parametrize(
    "text", [b"PKD film,1\n", b"ORCHID,1\n", b"%PDX,1\n", b"<html is bad,1\n", b"GIF8,1\n", b"BZh,1\n"]
)
def test_words_are_no_signatures(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    (table,) = Delimited(delimiter=",", header=False).read([tmp_path / "a.csv"], [0], shown=["a"])
    assert table.columns == {0: [text.decode().split(",")[0]]}
