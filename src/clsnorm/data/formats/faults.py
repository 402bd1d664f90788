"""Messages about faulty rows and files: the first few places, and how many more there are."""

from collections.abc import Callable, Iterable, Sequence

from clsnorm.errors import InputError, did_you_mean

SHOWN = 5
MOST_COLUMNS, MOST_LETTERS = 20, 80  # a wide table, or a file with other line ends, has thousands


def names_of(things: Iterable[str], *, most: int = SHOWN) -> str:
    """Returns the first ``most`` things, separated by commas, and how many more there are."""
    names = list(things)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


class Faults:
    """Collects faults of rows and raises once for all of them.

    Args:
        file: The file as messages name it.
        unit: ``line`` or ``row``.
    """

    def __init__(self, file: str, unit: str) -> None:
        self.file, self.unit, self.count = file, unit, 0
        self._first: list[str] = []

    def add(self, number: int, fault: str | Callable[[], str]) -> None:
        """Notes a fault at line or row ``number``; a function is called only if its text will be shown."""
        self.count += 1
        if len(self._first) < SHOWN:
            text = fault if isinstance(fault, str) else fault()
            self._first.append(f"{self.unit} {number}: {' '.join(text.split())[:120]}")

    def refuse(self, rule: str, cure: str) -> None:
        """Raises InputError if there were any faults: names the first five and counts the others."""
        if self.count:
            more = f"; and {self.count - SHOWN} more" if self.count > SHOWN else ""
            raise InputError(f"{rule} in {self.file}, but found {'; '.join(self._first)}{more}. {cure}")


def require_rows(count: int, shown: str) -> None:
    """Raises InputError if ``count`` is 0."""
    if not count:
        raise InputError(f"Expected rows in {shown}, but it has none. Provide a file with at least one row")


def require_columns(wanted: Sequence[str | int], existing: Sequence[str | int], shown: str) -> None:
    """Raises InputError if a wanted column does not exist, or occurs twice; other columns may have any names."""
    for column in wanted:
        if column not in existing:
            known = listed_columns(existing)
            near = did_you_mean(str(column), [str(name) for name in existing])
            raise InputError(f"Expected column {column!r} in {shown}, but it has: {known}.{near}")
        if existing.count(column) > 1:
            raise InputError(f"Expected one column {column!r} in {shown}, but it occurs twice: rename one of them")


def listed_columns(names: Iterable[str | int]) -> str:
    """Returns the names of columns for a message, a blank one in quotes."""
    return names_of(
        (str(name)[:MOST_LETTERS] if str(name).strip() else repr(name) for name in names), most=MOST_COLUMNS
    )
