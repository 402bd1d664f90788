"""`Predictions`, in test passes of Lightning's real trainer."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from clsnorm.records import Predictions

Batch = dict[str, torch.Tensor]


class Echo(pl.LightningModule):
    """The outputs of a test step are its batch."""

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Batch:
        return batch


def batch(ids: list[int], logits: list[list[float]]) -> Batch:
    ids_ = torch.tensor(ids)
    return {"example_ids": ids_, "labels": ids_ % 2, "logits": torch.tensor(logits)}


def written(callback: Predictions, *parts: list[Batch]) -> pd.DataFrame:
    trainer = pl.Trainer(
        callbacks=[callback], accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.test(Echo(), [DataLoader(part, batch_size=None) for part in parts], verbose=False)  # type: ignore[arg-type]
    return pd.read_parquet(callback._path)


def test_probabilities_are_sorted_by_part_and_example(tmp_path: Path) -> None:
    callback = Predictions(tmp_path / "predictions.parquet", regression=False, parts=["report", "matched"])
    first = [batch([5, 2], [[0.0, 1.0], [0.0, 2.0]]), batch([3], [[3.0, 0.0]])]
    second = [batch([9], [[1.0, 0.0]])]
    for _ in range(2):  # a second pass replaces the first
        table = written(callback, first, second)
        assert list(table.columns) == ["part", "example_id", "label", "p0", "p1"]
        assert list(zip(table.part, table.example_id, table.label, strict=True)) == [
            ("matched", 9, 1), ("report", 2, 0), ("report", 3, 1), ("report", 5, 1)
        ]  # fmt: skip
        assert table.p1.tolist() == pytest.approx([1 / (1 + math.exp(-x)) for x in (-1, 2, -3, 1)])
        assert callback.largest_share == pytest.approx(2 / 3)  # of the first part


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_example_without_finite_logits_has_no_prediction(tmp_path: Path, bad: float) -> None:
    callback = Predictions(tmp_path / "predictions.parquet", regression=False, parts=["report"])
    table = written(callback, [batch([0, 1], [[0.0, bad], [0.0, 0.0]])])
    assert table[["p0", "p1"]].isna().to_numpy().tolist() == [[True, True], [False, False]]
    assert math.isnan(callback.largest_share)


def test_the_true_and_the_predicted_class_are_named(tmp_path: Path) -> None:
    callback = Predictions(tmp_path / "p.parquet", regression=False, parts=["report"], classes=["bad", "good"])
    table = written(callback, [batch([0, 1, 2], [[0.0, 1.0], [2.0, 0.0], [math.nan, 0.0]])])
    assert list(table.columns) == ["part", "example_id", "label", "p0", "p1", "label_name", "predicted_name"]
    assert table.label_name.tolist() == ["bad", "good", "bad"]
    assert table.predicted_name.tolist()[:2] == ["good", "bad"]
    assert table.predicted_name.isna().tolist() == [False, False, True]


def test_a_regression_has_values(tmp_path: Path) -> None:
    callback = Predictions(tmp_path / "predictions.parquet", regression=True, parts=["report"])
    table = written(callback, [batch([1, 0], [[0.5], [-2.0]])])
    assert table.value.tolist() == [-2.0, 0.5]
    assert list(table.columns) == ["part", "example_id", "label", "value"]
    assert math.isnan(callback.largest_share)


@pytest.mark.parametrize("outputs", [1, 2, 5])
@pytest.mark.parametrize("sizes", [(0,), (2, 0), (0, 2), (0, 0, 3)])
def test_parts_without_rows_change_nothing(tmp_path: Path, outputs: int, sizes: tuple[int, ...]) -> None:
    callback = Predictions(tmp_path / "predictions.parquet", regression=outputs == 1, parts=["report", "matched"])
    logits = torch.randn(sum(sizes), outputs, generator=torch.Generator().manual_seed(0))
    ids = torch.arange(sum(sizes))
    columns = {"example_ids": ids, "labels": ids % 2, "logits": logits}
    parts = [
        dict(zip(columns, part, strict=True)) for part in zip(*(c.split(sizes) for c in columns.values()), strict=True)
    ]
    table = written(callback, [batch([7], [[0.0] * outputs])], parts)
    names = ["value"] if outputs == 1 else [f"p{number}" for number in range(outputs)]
    assert list(table.columns) == ["part", "example_id", "label", *names]
    found = table[table.part == "matched"]
    assert found.example_id.tolist() == ids.tolist()
    assert found.label.dtype == table.example_id.dtype == "int64"
    expected = logits if outputs == 1 else logits.softmax(1)
    assert torch.equal(torch.tensor(found[names].to_numpy()), expected)
