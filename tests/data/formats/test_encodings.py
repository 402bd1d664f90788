"""Bytes that are not UTF-8: damaged UTF-8, or which older encodings are plausible."""

from __future__ import annotations

import pytest

from clsnorm.data.formats.encodings import is_damaged_utf8, knows_encoding, plausible_encodings, refuse_byte
from clsnorm.errors import InputError

TEXTS = {
    "cp1252": ["Le café était fermé à Noël", "Größe und Übermut der Straße", "for £5 – “fine”"],
    "cp1251": ["Привет, как дела? Очень хорошо", "нежный отель"],
    "koi8_r": ["Привет, как дела? Очень хорошо"],
    "gb18030": ["这个酒店很好，服务也不错"],
    "big5": ["這部電影非常好看，我很喜歡"],
    "cp932": ["この映画はとても面白かったです"],
    "cp949": ["안녕하세요 세계 좋은 영화"],
    "cp1253": ["Καλημέρα κόσμε, τι κάνεις"],
    "cp1256": ["مرحبا بالعالم"],
    "mac_roman": ["Größe und Übermut der Straße"],
}
CASES = [(encoding, text) for encoding, texts in TEXTS.items() for text in texts]


def lines(text: str, encoding: str) -> tuple[bytes, int]:
    data = "".join(f"{text} number {i},{'pn'[i % 2]}\n" for i in range(30)).encode(encoding)
    return data, next(at for at, byte in enumerate(data) if byte > 127)


@pytest.mark.parametrize(("encoding", "text"), CASES)
def test_the_right_encoding_is_suggested_first(encoding: str, text: str) -> None:
    data, at = lines(text, encoding)
    assert not is_damaged_utf8(data)
    (first, quote), *others = plausible_encodings(data, at)
    assert (first, len(others) < 3) == (encoding, True)
    assert quote == f"{text} number 0,p"[max(0, at - 24) :][: len(quote)]
    with pytest.raises(
        InputError, match=rf"a, line 1: byte 0x.. is not utf-8. Convert .*data.encoding={encoding} reads"
    ):
        refuse_byte(data, at, encoding="utf-8", line=1, shown="a")


@pytest.mark.parametrize("text", sorted({text for _, text in CASES}))
def test_utf8_with_a_damaged_byte_is_no_older_encoding(text: str) -> None:
    data = f"{text},p\n".encode() * 30 + b"na\xefve,p\n"
    assert is_damaged_utf8(data)
    with pytest.raises(InputError, match=r"a, line 31: byte 0xef is not utf-8, but most of the file is: .*after 'na'"):
        refuse_byte(data, data.index(b"\xefve"), encoding="utf-8", line=31, shown="a")


def test_a_byte_that_is_invalid_in_a_stated_encoding() -> None:
    with pytest.raises(InputError, match=r"a, line 2: byte 0x81 is not cp1252. Correct this line, or set another"):
        refuse_byte(b"x\n\x81", 2, encoding="cp1252", line=2, shown="a")


def test_encodings_that_python_knows() -> None:
    assert list(map(knows_encoding, ["utf-8", "cp1252", "utf9", "base64", ""])) == [True, True, False, False, False]
