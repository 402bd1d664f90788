from __future__ import annotations

from typing import Any

import pytest

from clsnorm.errors import InputError
from clsnorm.pretraining import Recipe


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 0), ("batch_size", 0), ("max_length", 3), ("masked", 0), ("masked", 1.5), ("lr", -1), ("seed", -1)],
)
def test_values_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"--{name}"):
        Recipe(**{name: value})
