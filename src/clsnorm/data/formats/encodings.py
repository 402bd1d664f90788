"""Bytes that are not UTF-8: is the file damaged, or which older encodings are plausible?"""

from __future__ import annotations

import codecs
import re
import unicodedata
from itertools import pairwise

from clsnorm.errors import InputError

DAMAGED = 0.8  # of the bytes above 127, the share in valid sequences from which a file is damaged UTF-8;
DAMAGED_WORDS = 0.5  # or this share, if these are letters of one script: by chance they would be of many
OLDER = ["cp1252", "gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1251", "koi8_r"]
OLDER += ["cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "latin-1", "mac_roman", "cp850"]
NAMED = 3  # the most encodings that a message suggests
PLAUSIBLE = 0.6  # the least share of characters that can follow each other in a text
CLOSE = 0.1  # how far below the best one
SAMPLE = 1 << 16  # bytes
AROUND = 24  # characters before and after a byte that a message quotes
SIGNS = set("£€§°«»…–—‘’“”„‚•·©®™±½¼¾¿¡\u00a0、。，！？：；「」『』（）《》〈〉【】・ー％￥")
JAPANESE = {"HIRAGANA", "KATAKANA", "CJK"}


def knows_encoding(name: str) -> bool:
    """Returns whether Python has a text encoding of this name; ``base64`` and ``rot13`` encode other things."""
    try:
        return codecs.lookup(name)._is_text_encoding  # the check that `open` makes
    except (LookupError, TypeError):
        return False


def refuse_byte(data: bytes, at: int, *, encoding: str, line: int, shown: str) -> None:
    """Raises InputError for byte ``at`` of ``data``, which is invalid in ``encoding``, with its line.

    Args:
        data: Bytes around the fault; for UTF-8 the more, the better.
        at: The place of the invalid byte in ``data``.
        encoding: The encoding that was tried.
        line: The line of the byte in the file.
        shown: The file, as messages name it.
    """
    fault = f"{shown}, line {line}: byte {data[at]:#04x} is not {encoding}"
    if not codecs.lookup(encoding).name.startswith("utf-8"):
        raise InputError(f"{fault}. Correct this line, or set another encoding")
    if is_damaged_utf8(data):
        start = data.rfind(b"\n", 0, at) + 1
        before = data[start:at].decode("utf-8", "replace")[-AROUND:]
        raise InputError(
            f"{fault}, but most of the file is: a damaged byte, after {before!r}. Correct it, or write the file again"
        )
    reads = [f"data.encoding={name} reads {quote!r}" for name, quote in plausible_encodings(data, at)]
    choice = f", or set its encoding: {', '.join(reads)}" if reads else ", or set data.encoding to its encoding"
    raise InputError(f"{fault}. Convert the file to UTF-8{choice}")


def is_damaged_utf8(data: bytes) -> bool:
    """Is this UTF-8 but for a few bytes, rather than an older encoding?"""
    share = valid_share(data)
    letters = {_script(c) for c in data.decode("utf-8", "ignore") if c.isalpha() and not c.isascii()}
    return share >= DAMAGED or (share >= DAMAGED_WORDS and (len(letters) == 1 or letters <= JAPANESE))


def valid_share(data: bytes) -> float:
    """Returns which share of the bytes above 127 is in valid sequences of UTF-8; 1 if there are none."""
    high = len(data) - len(_ascii(data))
    valid = data.decode("utf-8", "ignore").encode()
    return (len(valid) - len(_ascii(valid))) / high if high else 1.0


def _ascii(data: bytes) -> bytes:
    return data.translate(None, bytes(range(128, 256)))


def plausible_encodings(data: bytes, at: int) -> list[tuple[str, str]]:
    """Returns the older encodings in which ``data`` reads like words, best first, and how each reads byte ``at``."""
    start = data.rfind(b"\n", 0, max(0, at - SAMPLE)) + 1
    sample = data[start : at + SAMPLE]
    scores = {name: score for name in OLDER if (score := _likeness(sample, name))}
    best = max(scores.values(), default=(0.0, 0.0))
    near = [name for name in scores if scores[name][0] >= max(best[0] - CLOSE, PLAUSIBLE)]
    found: dict[str, str] = {}
    for name in sorted(near, key=lambda name: scores[name], reverse=True):
        quote = _quoted(data, at, name)
        if quote not in found.values():
            found[name] = quote
    return list(found.items())[:NAMED]


def _quoted(data: bytes, at: int, encoding: str) -> str:
    """Returns the text around byte ``at``, within its line."""
    start, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)
    line = data[start : None if end < 0 else end]
    before = data[start:at].decode(encoding, "replace")
    return line.decode(encoding, "replace").strip("\r")[max(0, len(before) - AROUND) :][: 2 * AROUND]


def _likeness(data: bytes, encoding: str) -> tuple[float, float] | None:
    """Returns how much ``data`` reads like words, and the share of small letters; None if it cannot be decoded."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return None
    runs = re.findall(r"(?s).?[^\x00-\x7f]+.?", text)
    pairs = [pair for run in runs for pair in pairwise(run)]
    likely = sum(_fit(*pair) for pair in pairs)
    cased = [c for run in runs for c in run if c.isalpha() and c.lower() != c.upper() and not c.isascii()]
    small = sum(map(str.islower, cased)) / len(cased) if cased else 1.0
    fit = likely / len(pairs) if pairs else 0.0
    telling = sum("\u3040" <= c <= "\u309f" or "\uac00" <= c <= "\ud7a3" for c in text)  # hiragana, hangul
    return round(fit, 2) + (fit > 0.9 and telling > len(text) / 100), small


def _fit(one: str, two: str) -> bool:
    """Can the two characters follow each other in a text? At least one of them is not ASCII."""
    if not (_occurs(one) and _occurs(two)):
        return False
    if not (one.isalpha() and two.isalpha()):
        letters = {_script(c) for c in (one, two) if c.isalpha() and not c.isascii()}
        return letters <= {*JAPANESE, "HANGUL"} or not (one.isdigit() or two.isdigit())
    first, second = _script(one), _script(two)
    if first != second:
        capital = (one.isascii() and one.isupper()) or (two.isascii() and two.isupper())
        return {first, second} <= JAPANESE or (capital and bool({first, second} & JAPANESE))
    if first == "LATIN" and not one.isascii() and not two.isascii() and "ß" not in (one, two):
        return False  # two accented letters in a row are rare
    return not (one.islower() and two.isupper())


def _occurs(char: str) -> bool:
    return char.isascii() or char in SIGNS or (char.isalpha() and not "\uff61" <= char <= "\uff9f")


def _script(char: str) -> str:
    return unicodedata.name(char, "?").split()[0]
