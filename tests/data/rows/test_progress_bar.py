"""A progress bar appears on terminals only."""

from __future__ import annotations

import pytest

from clsnorm.data.rows.progress_bar import bar


def test_a_bar_appears_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for seen, shown in ((False, True), (True, False), (True, True)):
        monkeypatch.setattr("sys.stderr.isatty", lambda seen=seen: seen, raising=False)
        with bar("Reading", shown=shown) as done:
            assert done.disable is not (seen and shown)
    with bar("Tokenizing", 7, shown=True) as done:
        assert done.total == 7
