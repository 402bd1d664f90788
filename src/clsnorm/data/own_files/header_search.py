"""Where the rows of a user's table begin: lines above the header, and whether there is a header."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from clsnorm.config.spelling import spell
from clsnorm.data.formats.delimited import Row
from clsnorm.data.formats.table_header import cleaned
from clsnorm.data.own_files.column_roles import LABELS, is_known
from clsnorm.data.own_files.header_odds import SURE, header_odds
from clsnorm.data.rows.texts import is_number
from clsnorm.errors import InputError

SAMPLE = 1000  # rows that a line is compared with
FEW = 10  # rows from which a second header is looked for
SECOND = 1.2  # powers of ten from which the line below the header may be a header, too
SEARCHED = 20  # lines that may be above the header
MARKS = ("#", "%", "//", ";", "--", "!")  # that a comment may begin with
QUOTED = 60  # characters of a line in a message


@dataclass(frozen=True)
class RowStart:
    """Where the rows begin: lines to skip, and whether a header follows."""

    skip_lines: int
    header: bool


@dataclass(frozen=True, kw_only=True)
class Search:
    """The lines of a table, and what is already known about its header.

    Args:
        rows: The rows that are not empty, after ``skip_lines``.
        shown: The file, as messages name it.
        header: Whether there is a header; None: to be inferred. A stated value is trusted.
        names: Columns that the header must have; then there is one.
        labels: Names of classes; a line that holds one, other than a number, may be a row.
        skip_lines: Lines that were skipped so far.
        fixed: Whether the first of ``rows`` must be the header or the first row.
        lenient: Whether a first line that may be a header or a row is a row, since another file has shown the layout.
    """

    rows: Sequence[Row]
    shown: str
    header: bool | None
    names: Sequence[str]
    skip_lines: int
    fixed: bool
    labels: Sequence[Any] = ()
    lenient: bool = False

    def start(self) -> RowStart:
        """Returns where the rows begin; raises InputError if that is not sure."""
        width = regular_width([cells for _, cells in self.rows])
        at = self._header_at(width)
        if self.header is None and not self.fixed:
            self._require_no_other_header(0 if at is None else at + 1, width)
            self._require_no_comments(1 if at is None else at + 1, width)
            self._require_one(at, width)
        if at is not None:
            if self._may_be_row(at):
                self._refuse_unsure(at)
            return RowStart(self._lines_above(at), header=True)
        if self.header is None and not self.lenient and self._odds(0, width) > -SURE:
            self._refuse_unsure(0)
        if not self.fixed:
            self._require_row(width)
        return RowStart(self.skip_lines, header=False)

    def _may_be_row(self, at: int) -> bool:
        """Does a header that was inferred hold the name of a class?"""
        cells = {name for name in map(cleaned, self.rows[at][1]) if name and not is_number(name)}
        return self.header is None and not self.names and bool(cells & {*map(spell, self.labels)})

    def _lines_above(self, at: int) -> int:
        return self.rows[at][0] - 1 if at else self.skip_lines

    def _header_at(self, width: int) -> int | None:
        """Returns the place of the header in the rows; None: there is none, or none is sure."""
        if self.header is False:
            return None
        last = 0 if self.fixed else min(SEARCHED, len(self.rows) - 1)
        must = self.header or bool(self.names)
        wanted = {*map(cleaned, self.names)}
        named = [at for at in range(last + 1) if wanted and {*map(cleaned, self.rows[at][1])} >= wanted]
        for at in range(last + 1):
            if at in named or (not named and self._is_header(at, width)):
                return at
            if not self._is_above(at, width):
                if named:
                    self._refuse_several(named[0], at)
                return at if must else None
        return 0 if must else None

    def _fits(self, at: int, width: int) -> bool:
        return len(self.rows[at][1]) >= width and not any(self.rows[at][1][width:])

    def _is_header(self, at: int, width: int) -> bool:
        """Is this line likelier a header than a row, and no comment above what may be the header?"""
        if not self._fits(at, width) or self._odds(at, width) < SURE:
            return False
        if not self._is_marked(at):
            return True
        following = range(at + 1, min(at + SEARCHED, len(self.rows)))
        plain = next((line for line in following if self._fits(line, width) and not self._is_marked(line)), None)
        return plain is None or self._odds(plain, width) < 0

    def _is_marked(self, at: int) -> bool:
        return self.rows[at][1][0].lstrip().startswith(MARKS)

    def _odds(self, at: int, width: int) -> float:
        """Returns log10 of how much likelier a row is a header than a row like the others below."""
        first = self.rows[at][1][:width]
        names = list(map(cleaned, first))
        body = [cells[:width] for _, cells in self.rows[at + 1 : at + 1 + SAMPLE] if len(cells) >= width]
        return header_odds(first, [cells for cells in body if list(map(cleaned, cells)) != names])

    def _is_above(self, at: int, width: int) -> bool:
        """Can this line be a title or a comment above the header, and no row?"""
        cells = self.rows[at][1]
        if not self._fits(at, width) or (width > 1 and not any(cells[1:])):
            return True
        return self._is_marked(at) and not self._has_known_value(at, width)

    def _has_known_value(self, at: int, width: int) -> bool:
        """Does a cell other than the first occur further down, as a class does?"""
        below = [cells for _, cells in self.rows[at + 1 : at + 1 + SAMPLE] if len(cells) >= width]
        return any(cells[place] == self.rows[at][1][place] != "" for cells in below for place in range(1, width))

    def _require_one(self, at: int | None, width: int) -> None:
        """Raises InputError if the line below the header looks like a header, too."""
        if at is None or self.lenient or len(self.rows) < at + FEW:
            return
        same = list(map(cleaned, self.rows[at][1])) == list(map(cleaned, self.rows[at + 1][1]))
        if not same and self._fits(at + 1, width) and self._odds(at + 1, width) >= SECOND:
            self._refuse_several(at + 1, at)

    def _require_no_comments(self, start: int, width: int) -> None:
        """Raises InputError if a line within the rows may be a comment: it begins so, and is no likely row."""
        above = {self.rows[at][1][0].lstrip()[:1] for at in range(start) if self._is_marked(at)}
        marked = [at for at in range(start, len(self.rows)) if self._is_marked(at)][:SEARCHED]
        for at in marked:
            cells = self.rows[at][1]
            if cells[0].lstrip()[:1] in above or (self._fits(at, width) and self._among(at, width) > -SURE):
                mark = next(mark for mark in MARKS if cells[0].lstrip().startswith(mark))
                raise InputError(
                    f"Cannot tell whether line {self.rows[at][0]} of {self.shown} ({self._quote(at)}) is a comment or "
                    f"a row. Set data.comment={mark!r} to skip all lines that begin so, or "
                    f"data.skip_lines={self._lines_above(max(start - 1, 0))} if it is a row"
                )

    def _among(self, at: int, width: int) -> float:
        """Returns `_odds` of a row among all others that are no comments."""
        others = [cells[:width] for line, (_, cells) in enumerate(self.rows[:SAMPLE]) if not self._is_marked(line)]
        return header_odds(self.rows[at][1][:width], [cells for cells in others if len(cells) == width])

    def _require_no_other_header(self, start: int, width: int) -> None:
        """Raises InputError if a line within the rows holds usual names of columns, and nothing else."""
        for at in range(start, len(self.rows)):
            names = self._names(at)
            if len(names) > 1 and all(map(is_known, names)) and {*LABELS} & {*names}:
                line, above = self.rows[at][0], self._lines_above(max(start - 1, 0))
                other = at <= SEARCHED and self._names(at) != self._names(max(start - 1, 0))
                skip = f", or data.skip_lines={line - 1} to skip what is above it" if other else ""
                if at == 0 and not self._fits(at, width):
                    raise InputError(
                        f"Line {line} of {self.shown} ({self._quote(at)}) has {len(names)} names of columns, but most "
                        f"rows have {width} cells. Correct them, or set data.delimiter and data.quoting"
                    )
                raise InputError(
                    f"Expected one header in {self.shown}, at its start, but line {line} ({self._quote(at)}) looks "
                    f"like one. Delete this line, or set data.skip_lines={above} if it is a row{skip}"
                )

    def _names(self, at: int) -> list[str]:
        return [cleaned(cell).lower() for cell in self.rows[at][1] if cell]

    def _require_row(self, width: int) -> None:
        """Raises InputError if the first line cannot be a row: a title, or other cells than the rows have."""
        line = self.rows[0][0]
        if self._is_above(0, width):
            raise InputError(
                f"Line {line} of {self.shown} ({self._quote(0)}) is not a row like the others, which have {width} "
                f"cells. Correct it, or set data.skip_lines={line} to skip it"
            )

    def _refuse_unsure(self, at: int) -> NoReturn:
        line = self.rows[at][0]
        raise InputError(
            f"Cannot tell whether line {line} of {self.shown} ({self._quote(at)}) is the header or a row. Set "
            f"data.header=true or data.header=false, or data.skip_lines={line} if it is neither"
        )

    def _refuse_several(self, at: int, before: int = 0) -> NoReturn:
        lines = [self.rows[before][0], self.rows[at][0]]
        raise InputError(
            f"Cannot tell which line of {self.shown} is the header: line {lines[0]} ({self._quote(before)}) or line "
            f"{lines[1]} ({self._quote(at)}). Set data.header and data.skip_lines, the number of lines above the "
            f"header: {lines[0] - 1} or {lines[1] - 1}"
        )

    def _quote(self, at: int) -> str:
        text = ", ".join(map(repr, self.rows[at][1]))
        return text if len(text) <= QUOTED else f"{text[:QUOTED]}…"


def regular_width(rows: Sequence[Sequence[str]]) -> int:
    """Returns how many cells most rows have, without columns at the end that are empty in all of these."""
    counts = Counter(map(len, rows)).most_common(1)
    common = counts[0][0] if counts else 0
    usual = [row for row in rows if len(row) == common]
    return max((at + 1 for at in range(common) if any(row[at] for row in usual)), default=common)
