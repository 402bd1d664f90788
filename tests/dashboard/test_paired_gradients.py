"""Gradients of a run over those of the identity's with the same seeds."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from clsnorm.dashboard.__main__ import main
from clsnorm.dashboard.paired_gradients import ratio_summary, ratios
from clsnorm.errors import InputError
from clsnorm.files import write_text

Train = Callable[..., SimpleNamespace]
OPTIONS = ("callbacks=gradient_norms", "trainer.max_epochs=1", "model.dropout=0", "classifier.dropout=0")


def steps_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "statistics" / "gradient_steps.npz") as file:
        return {name: file[name] for name in file.files}


def test_ratios_are_those_of_each_step(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    identity, arm = (train(*OPTIONS, f"normalizer={name}").folder for name in ("identity", "layernorm"))
    found = ratios(arm, identity)
    ours, theirs = steps_of(arm), steps_of(identity)
    assert len(found["step"]) == len(ours["step"])
    for name in ("h/max", "below_norm/mean", "parameters/total", "clip_coefficient", "head_weight/max"):
        np.testing.assert_allclose(found[name], ours[name] / theirs[name])
    assert found["head_bias/mean"][0] != 1.0
    assert all(set(ratios(arm, arm)[name]) <= {1.0} for name in ("h/max", "parameters/total"))
    assert main([str(arm), "--gradients-over", str(identity)]) == 0
    with (arm / "gradient_ratios.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["h/max"]) for row in rows], found["h/max"])
    assert "h/max" in capsys.readouterr().out
    other = train(*OPTIONS, "normalizer=layernorm", "seed=1").folder
    assert main([str(other), "--gradients-over", str(identity)]) == 2
    assert "seeds.init" in capsys.readouterr().err
    write_text(arm / "statistics" / "gradient_steps.npz", "no arrays")
    with pytest.raises(InputError, match="is damaged"):
        ratios(arm, identity)
    (arm / "statistics" / "gradient_steps.npz").unlink()
    with pytest.raises(InputError, match=r"callbacks=.*gradient_norms"):
        ratios(arm, identity)


def test_summary_has_the_start_on_its_own() -> None:
    values = np.array([8.0, 4.0, *np.ones(17), np.nan])
    found = ratio_summary({"step": np.arange(20), "h/max": values, "gone": np.full(20, np.nan)})
    assert found == {"h/max": {"start": 6.0, "run": 1.0, "largest": 8.0}}
