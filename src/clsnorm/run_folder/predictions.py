"""``predictions.parquet``: the selected model's answer to each example of the report split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clsnorm.errors import DamagedFileError
from clsnorm.seals import verify

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = {"part", "label"}
LOST = "Delete it; force=true runs the configuration again and writes it again"


def read_predictions(path: Path) -> pa.Table | None:
    """Returns the table, ordered by part and example id; None if the run has no predictions yet.

    Columns: ``part`` (the split's name), ``example_id``, ``label``, then ``p0``, ``p1``, ... (probabilities of the
    classes) or ``value`` (regression), which are null for an example whose logits are not finite. With classes also
    ``label_name`` and ``predicted_name``, the most probable class; files of earlier versions lack these two.

    Raises:
        DamagedFileError: If the file is not what was written.
    """
    if not path.exists():
        return None
    import pyarrow as pa  # slow to import, and few readers want predictions
    from pyarrow import parquet

    verify(path, LOST)
    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError, ValueError):
        raise DamagedFileError.of(path, "it is not a Parquet file that can be read", LOST) from None
    if missing := COLUMNS - set(table.column_names):
        raise DamagedFileError.of(path, f"it lacks the columns {', '.join(sorted(missing))}", LOST)
    return table
