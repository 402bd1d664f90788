"""Each changed, missing or added byte of a sealed file is found, and other programs still read the file."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from clsnorm import files
from clsnorm.errors import DamagedFileError, InputError
from clsnorm.seals import SIZE, read_json, read_line, seal, sealed_json, sealed_line, verify

VALUES = {"a": 0.1 + 0.2, "nested": {"sha256": "0" * 64, "b": [1, None, "ä"]}, "nan": float("nan")}


def write_npz(path: Path) -> None:
    np.savez(path.open("wb"), x=np.arange(50.0))


def write_tensors(path: Path) -> None:
    torch.save({"x": torch.arange(50.0), "step": 3}, path)


def write_parquet(path: Path) -> None:
    pd.DataFrame({"part": ["report"] * 50, "p0": np.linspace(0, 1, 50)}).to_parquet(path)


WRITERS: dict[str, Callable[[Path], None]] = {"npz": write_npz, "ckpt": write_tensors, "parquet": write_parquet}


@pytest.fixture(params=WRITERS)
def sealed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"file.{request.param}"
    WRITERS[request.param](path)
    seal(path)
    return path


def damaged(path: Path, content: bytes) -> Path:
    """Another file with that content: a file is verified once as long as it does not change."""
    other = path.with_name(f"{len(list(path.parent.iterdir()))}{path.suffix}")
    other.write_bytes(content)
    return other


def is_found(path: Path) -> bool:
    try:
        verify(path)
    except DamagedFileError as error:
        return str(path) in str(error)
    return False


def test_a_sealed_file_is_whole_and_sealed_once(sealed: Path) -> None:
    content = sealed.read_bytes()
    verify(sealed)
    seal(sealed)
    assert sealed.read_bytes() == content


def test_each_flipped_bit_is_found(sealed: Path) -> None:
    content = sealed.read_bytes()
    draw = random.Random(0)
    places = {*range(8), *range(len(content) - SIZE - 30, len(content)), *draw.sample(range(len(content)), 100)}
    for place in sorted(places):
        flipped = bytearray(content)
        flipped[place] ^= 1 << draw.randrange(8)
        path = damaged(sealed, bytes(flipped))
        assert is_found(path) or not can_be_read(path), f"byte {place} of {len(content)}"
        path.unlink()


def can_be_read(path: Path) -> bool:
    """Whether a Parquet file whose own last bytes are damaged is opened at all."""
    try:
        pd.read_parquet(path)
    except (OSError, ValueError):
        return False
    return True


@pytest.mark.parametrize("missing", [1, 2, 10, SIZE - 1, SIZE + 1, 200])
def test_missing_bytes_are_found(sealed: Path, missing: int) -> None:
    content = sealed.read_bytes()
    middle = len(content) // 2
    assert is_found(damaged(sealed, content[:-missing]))
    assert is_found(damaged(sealed, content[:middle] + content[middle + missing :]))


def test_added_bytes_and_an_empty_file_are_found(sealed: Path) -> None:
    content = sealed.read_bytes()
    assert is_found(damaged(sealed, content[:100] + b"\0" + content[100:]))
    assert is_found(damaged(sealed, b""))
    assert is_found(damaged(sealed, content + content)) or sealed.suffix == ".parquet"


def test_files_of_earlier_versions_pass(tmp_path: Path) -> None:
    for name, write in WRITERS.items():
        write(tmp_path / f"old.{name}")
        verify(tmp_path / f"old.{name}")
    with zipfile.ZipFile(tmp_path / "commented.npz", "w") as archive:
        archive.writestr("x", "1")
        archive.comment = b"a comment"
    verify(tmp_path / "commented.npz")


def test_other_files_are_not_sealed(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    for content in (b"<html>", b"", b"\x89PNG"):
        path.write_bytes(content)
        seal(path)
        assert path.read_bytes() == content


def test_other_programs_read_sealed_files(tmp_path: Path) -> None:
    for name, write in WRITERS.items():
        write(tmp_path / f"file.{name}")
        seal(tmp_path / f"file.{name}")
    assert np.array_equal(np.load(tmp_path / "file.npz")["x"], np.arange(50.0))
    assert zipfile.ZipFile(tmp_path / "file.npz").testzip() is None
    expected = torch.arange(50.0)
    for mmap in (False, True):
        assert torch.equal(torch.load(tmp_path / "file.ckpt", weights_only=True, mmap=mmap)["x"], expected)
    buffer = io.BytesIO((tmp_path / "file.ckpt").read_bytes())
    assert torch.equal(torch.load(buffer, weights_only=True)["x"], expected)
    assert pd.read_parquet(tmp_path / "file.parquet")["p0"].iloc[-1] == 1.0


def test_the_advice_is_part_of_the_message(tmp_path: Path) -> None:
    (tmp_path / "x.npz").touch()
    with pytest.raises(DamagedFileError, match=r"x\.npz is damaged: it is empty\. Train again$"):
        verify(tmp_path / "x.npz", "Train again")
    with pytest.raises(InputError, match="Restore it from a copy, or delete it"):
        verify(tmp_path / "x.npz")


def test_json_is_read_back_and_by_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    files.write_sealed(path, VALUES)
    found = read_json(path)
    assert found.pop("nan") != found.get("nan")
    assert found == {key: value for key, value in VALUES.items() if key != "nan"}
    assert list(json.loads(path.read_text())) == [*VALUES, "digest"]
    files.write_sealed(path, {**json.loads(path.read_text()), "c": 1})  # an old digest is not content
    assert list(read_json(path)) == [*VALUES, "c"]
    files.write_sealed(path, {})
    assert read_json(path) == {}


def json_is_found(path: Path) -> bool:
    try:
        read_json(path)
    except DamagedFileError as error:
        return str(path) in str(error)
    return False


def test_each_flipped_bit_of_json_is_found(tmp_path: Path) -> None:
    path, content = tmp_path / "x.json", sealed_json(VALUES).encode()
    draw = random.Random(0)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        assert json_is_found(path), f"byte {place}: {bytes(flipped[max(0, place - 10) : place + 10])!r}"


def test_cut_json_is_found(tmp_path: Path) -> None:
    path, content = tmp_path / "x.json", sealed_json(VALUES).encode()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert json_is_found(path), f"the first {length} of {len(content)} bytes"


@pytest.mark.parametrize("text", ["[]", "null", "3", '"text"', "{", "\0\0", "[" * 100_000, "\ud800"])
def test_what_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    with pytest.raises(DamagedFileError, match=r"x\.json is damaged"):
        read_json(path)


def test_json_of_earlier_versions_passes(tmp_path: Path) -> None:
    files.write_json(tmp_path / "x.json", {"sha256": "a" * 64, "last": "b" * 64})
    assert read_json(tmp_path / "x.json") == {"sha256": "a" * 64, "last": "b" * 64}


def test_a_sealed_line_is_read_back() -> None:
    values = {"step": 3, "bins": {"z": [[1, 2], [0.1 + 0.2, 1e300, -0.0]]}, "ä": None}
    line = sealed_line(values)
    assert line.count("\n") == 1
    assert read_line(line) == values


def test_each_cut_or_changed_line_is_found() -> None:
    line, draw = sealed_line({"step": 3, "bins": [0.25, 1.5]}).rstrip("\n"), random.Random(0)
    for place in range(len(line)):
        character = chr(ord(line[place]) ^ 1 << draw.randrange(7))
        assert read_line(line[:place]) is None
        assert read_line(line[:place] + character + line[place + 1 :]) is None, f"{place}: {character!r}"


@pytest.mark.parametrize("line", ["", "[]", "null", "3", "[" * 100_000, '{"step": 3}'])
def test_what_is_no_sealed_line_is_found(line: str) -> None:
    assert read_line(line) is None
