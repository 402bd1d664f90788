"""``predictions.parquet``: the selected model's answer to each example of the report split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clsnorm.errors import DamagedFileError
from clsnorm.files import replacing
from clsnorm.seals import verify

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
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


def prediction_rows(
    part: str, example_ids: np.ndarray, labels: np.ndarray, values: np.ndarray, *, regression: bool
) -> pd.DataFrame:
    """Returns the columns of `read_predictions`, but for the names of classes.

    Args:
        part: Name of the split.
        example_ids: ``(n,)``.
        labels: Class ids or true values, ``(n,)``.
        values: Probabilities, ``(n, C)``, or predicted values, ``(n, 1)``; NaN where logits are not finite.
        regression: Whether they are values.
    """
    import pandas as pd  # takes half a second; training need not wait

    columns = ["value"] if regression else [f"p{index}" for index in range(values.shape[1])]
    numbers = {name: values[:, column] for column, name in enumerate(columns)}
    return pd.DataFrame({"part": part, "example_id": example_ids, "label": labels, **numbers})


def write_predictions(path: Path, rows: pd.DataFrame, classes: Sequence[str] | None) -> None:
    """Writes rows of `prediction_rows`, by part and example id, with the names of the true and of the predicted class.

    Args:
        path: The Parquet file.
        rows: Sorted.
        classes: Names in the order of their ids; None in regression.

    Raises:
        DiskError: If it cannot be written.
    """
    with replacing(path) as draft:
        (rows if classes is None else _named(rows, classes)).to_parquet(draft, index=False)


def _named(rows: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Adds the names; none is predicted where logits are not finite."""
    import numpy as np
    import pandas as pd

    known = np.array(classes, object)
    values = rows.filter(regex=r"^p\d+$").to_numpy()
    defined = np.isfinite(values).all(1)
    names = np.full(len(values), None, object)
    names[defined] = known[values[defined].argmax(1)]
    labels = pd.array(known[rows["label"].to_numpy()], "str")
    return rows.assign(label_name=labels, predicted_name=pd.array(names, "str"))
