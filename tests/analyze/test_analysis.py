"""`AnalysisFolder`: the folder of one analysis."""

from __future__ import annotations

from pathlib import Path

import pytest

from clsnorm.analyze.analysis import AnalysisFolder
from clsnorm.errors import InputError
from clsnorm.run_folder.claim import Claim

CONFIG = {"config_hash": "a", "force": False}


def test_a_finished_analysis_is_returned(tmp_path: Path) -> None:
    folder = AnalysisFolder(tmp_path / "one")
    with Claim(folder).hold(CONFIG) as finished:
        assert finished is None
        (folder.path / "analysis.json").write_text('{"rows": 3}')
    with Claim(folder).hold(CONFIG) as finished:
        assert finished == {"rows": 3}


def test_a_refused_analysis_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="typo"), Claim(AnalysisFolder(tmp_path / "one")).hold(CONFIG):
        raise InputError("typo")
    assert not (tmp_path / "one").exists()
