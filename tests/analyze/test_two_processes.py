"""The command on the embedded model, on one process and on two: the same numbers for the same embeddings."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clsnorm.analyze.snapshots import read_snapshots
from clsnorm.statistics import Snapshot

pytestmark = pytest.mark.slow
ROWS = 401  # more than dimensions, and odd: of the last batch one of two processes has no row
PLACES = {*(f"layer{number:02d}" for number in range(7)), "pooler_pre", "pooler"}
DIGITS = 1e-9
# They divide by an eigenvalue near rounding noise: compared is that eigenvalue over the largest.
CONDITIONS = {"spectrum/condition", "spectrum/condition_uncentred"}


@pytest.fixture(scope="module")
def analyses(tmp_path_factory: pytest.TempPathFactory) -> list[SimpleNamespace]:
    return [analysis(tmp_path_factory.mktemp("analysis"), processes=processes) for processes in (1, 2)]


def analysis(folder: Path, *, processes: int) -> SimpleNamespace:
    """Runs the command with one row a process in each batch: no other row can change the last bits of its embedding."""
    words = [f"data.max_train_examples={ROWS}", f"data.eval_batch_size={processes}", f"devices={processes}"]
    words += ["accelerator=cpu", f"hydra.run.dir={folder}/unit"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CLSNORM_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "clsnorm.analyze", *words]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    snapshots = read_snapshots(folder / "unit" / "snapshots" / "before")
    record = json.loads((folder / "unit" / "analysis.json").read_text())
    return SimpleNamespace(snapshots=snapshots, numbers=record["sides"]["before"])


def accumulated(snapshot: Snapshot) -> dict[str, np.ndarray]:
    """All accumulators; of moments and tails only numbers that do not depend on the shift they are stored around."""
    moments = {"mean": snapshot.moments.mean, "covariance": snapshot.moments.covariance}
    central = dict(zip(("second", "third", "fourth"), snapshot.tails.central(), strict=True))
    sums = {f"direction/{name}": value for name, value in snapshot.directions.sums.items()}
    sums |= {f"class/{name}": value for name, value in snapshot.classes.sums.items()}
    found = {name: value.numpy() for name, value in {**moments, **central, **sums}.items()}
    return {**found, "norms": np.sort(snapshot.norms.values)}


def test_both_saw_the_same_embeddings(analyses: list[SimpleNamespace]) -> None:
    one, two = (run.snapshots for run in analyses)
    assert one.keys() == two.keys() == PLACES
    for place in PLACES:
        first, second = one[place].sample.state_dict(), two[place].sample.state_dict()
        assert len(first["rows"]) == ROWS
        assert torch.equal(first["keys"], second["keys"])
        assert torch.equal(first["rows"], second["rows"]), place


def test_accumulators_are_the_same(analyses: list[SimpleNamespace]) -> None:
    for place in PLACES:
        one, two = (run.snapshots[place] for run in analyses)
        assert (one.count, one.not_finite) == (two.count, two.not_finite) == (ROWS, 0)
        found = accumulated(two)
        for name, expected in accumulated(one).items():
            scale = np.abs(expected).max()
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=DIGITS * scale, err_msg=f"{place}/{name}")
        largest = float(one.eigenvalues[0])
        np.testing.assert_allclose(two.eigenvalues, one.eigenvalues, rtol=0, atol=DIGITS * largest, err_msg=place)


def test_statistics_are_the_same(analyses: list[SimpleNamespace]) -> None:
    one, two = (run.numbers for run in analyses)
    for place in PLACES:
        assert one[place].keys() == two[place].keys()
        for name in one[place]:
            expected, found = (held(name, numbers[place][name]["value"]) for numbers in (one, two))
            assert found == pytest.approx(expected, rel=DIGITS, abs=1e-12, nan_ok=True), f"{place}/{name}"


def held(name: str, value: float | None) -> float:
    """The part of a statistic that must agree to nine digits; None if undefined or, of a condition number, infinite."""
    if name in CONDITIONS:
        return 1 / value if value else 0.0
    return math.nan if value is None else value
