"""The options of a study."""

from __future__ import annotations

from typing import Any

import pytest

from clsnorm.ablation.plan import AblationPlan
from clsnorm.errors import InputError


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"random_sets": 10}, "at least 20"),
        ({"rows": 5000}, "from 2 to 2048"),
        ({"definition": "varience"}, "Did you mean 'variance'"),
        ({"ablation": "zeros"}, "Did you mean 'zero'"),
        ({"seed": -1}, "from 0"),
    ],
)
def test_options_out_of_range_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AblationPlan(**option)
