"""The beginning of a user's file: its encoding, or a refusal that names the cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from clsnorm.data.own_files.file_start import first_lines, infer_encoding
from clsnorm.errors import InputError

CONTENTS = {
    "ascii": b"plain",
    "utf8": "naïve".encode(),
    "bom": "x".encode("utf-8-sig"),
    "wide": "naïve".encode("utf-16"),
    "wider": "naïve".encode("utf-32"),
}


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("ascii", "utf-8"), ("utf8", "utf-8"), ("bom", "utf-8"), ("wide", "utf-16"), ("wider", "utf-32")],
)
def test_the_encoding_is_that_of_the_mark_or_utf_8(tmp_path: Path, name: str, encoding: str) -> None:
    for other in ("ascii", name):
        (tmp_path / other).write_bytes(CONTENTS[other])
    assert infer_encoding([tmp_path / name]) == encoding
    assert infer_encoding([tmp_path / "ascii", tmp_path / name]) == encoding


def test_files_of_several_encodings_are_refused(tmp_path: Path) -> None:
    for name in ("utf8", "wide"):
        (tmp_path / name).write_bytes(CONTENTS[name])
    with pytest.raises(
        InputError, match=r"one encoding, but \S*wide is utf-16, \S*utf8 is utf-8. Convert them, or set"
    ):
        infer_encoding([tmp_path / "wide", tmp_path / "utf8"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "no mark, two lines\n".encode("utf-16-le"),
            "line 1 has a zero byte. Set data.encoding=utf-16-le, which reads",
        ),
        (
            "no mark, two lines\n".encode("utf-16-be"),
            "line 1 has a zero byte. Set data.encoding=utf-16-be, which reads",
        ),
        (
            "no mark, two lines\n".encode("utf-32-le"),
            "line 1 has a zero byte. Set data.encoding=utf-32-le, which reads",
        ),
        (b"text,label\ngood,pos\nb\0d,neg\n" + b"a fine film,pos\n" * 9, "line 3 has a zero byte. Delete it, or set"),
        (bytes(range(256)) * 9 + bytes(900), "line 1 has a zero byte, and there are many: it is not a text file"),
        ("café,1\n".encode() * 40 + b"caf\xe9,1\n", "a, line 41: byte 0xe9 is not utf-8, but most of the file is"),
        ("café,1\n".encode("cp1252"), "a, line 1: byte 0xe9 .*to UTF-8, or set .*data.encoding=cp1252 reads 'café,1'"),
    ],
)
def test_other_bytes_are_refused_with_their_line_and_the_cure(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        infer_encoding([tmp_path / "a"])
    assert "\n" not in str(caught.value)


def test_at_least_ten_lines_are_read_however_long(tmp_path: Path) -> None:
    lines = [f"{'word ' * 200_000}{i}\n" for i in range(20)]
    (tmp_path / "a").write_text("".join(lines))
    text, whole = first_lines(tmp_path / "a", "utf-8")
    assert text.splitlines() == "".join(lines).splitlines()[: text.count("\n")]
    assert 10 <= text.count("\n") < 20
    assert not whole
