"""``predictions.parquet``: the selected model's answer to each example of the report split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def read_predictions(path: Path) -> pa.Table | None:
    """Returns the table, ordered by part and example id; None if the run has no predictions yet.

    Columns: ``part`` (the split's name), ``example_id``, ``label``, then ``p0``, ``p1``, ... (probabilities of the
    classes) or ``value`` (regression). All are null for an example whose logits are not finite.
    """
    if not path.exists():
        return None
    from pyarrow import parquet  # slow to import, and few readers want predictions

    return parquet.read_table(path)
