"""`Faults`: one refusal for all faulty rows of a file."""

from __future__ import annotations

import pytest

from clsnorm.data.formats.faults import Faults
from clsnorm.errors import InputError


def test_the_first_five_faults_are_named_and_the_others_counted() -> None:
    faults, called = Faults("a.tsv", "line"), []
    faults.refuse("Expected text", "Fix these lines")  # none so far
    for number in range(1, 8):
        faults.add(number, lambda number=number: called.append(number) or f"a\n{number}")
    with pytest.raises(InputError, match=r"^Expected text in a\.tsv, but found line 1: a 1; .*5: a 5; and 2 more\."):
        faults.refuse("Expected text", "Fix these lines")
    assert called == [1, 2, 3, 4, 5]  # the text of the others is not needed
