"""Whole exports of tiny runs: loaded by transformers alone, refused without a trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from runs import results

from clsnorm.errors import InputError
from clsnorm.export import export_command, stock_check
from clsnorm.export.export_command import export

Train = Callable[..., SimpleNamespace]


@pytest.mark.slow
def test_an_exported_run_is_a_pipeline(
    train: Train, tiny_data: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import ModelCard
    from transformers import pipeline

    folder = train("normalizer=batchnorm", "callbacks=none").folder
    output = tmp_path / "exported"
    assert export({"run": str(folder), "output": str(output), "license": "mit"}) == output
    record = json.loads((output / "export.json").read_text())
    assert record["check"]["rows"] == record["check"]["equal_answers"] == 40
    assert record["check"]["largest_difference"] <= 1e-5
    assert sorted(path.name for path in output.iterdir()) == [
        "README.md", "config.json", "export.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"
    ]  # fmt: skip
    stored = pd.read_parquet(folder / "predictions.parquet")
    rows = pd.read_csv(tiny_data.report, sep="\t").sentence.tolist()
    classify = pipeline("text-classification", model=str(output))
    found = classify(rows, truncation=True, max_length=16, top_k=None)
    chances = [{one["label"]: one["score"] for one in row} for row in found]
    assert np.allclose([row["1"] for row in chances], stored.p1, atol=1e-5)
    assert [max(row, key=row.__getitem__) for row in chances] == stored.predicted_name.tolist()
    card = ModelCard.load(output / "README.md")
    assert card.data.license == "mit"
    (metric,) = card.data.eval_results
    assert metric.metric_value == pytest.approx(results(SimpleNamespace(folder=folder))["metrics"]["report/accuracy"])
    capsys.readouterr()
    export({"run": str(folder), "output": str(output)})
    assert capsys.readouterr().out.startswith("done before")
    other = train("normalizer=identity", "callbacks=none").folder
    with pytest.raises(InputError, match="other weights"):
        export({"run": str(other), "output": str(output)})


def test_a_refused_or_different_model_leaves_nothing(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = str(train("normalizer=layernorm", "callbacks=none", "trainer.max_epochs=1").folder)
    before = sorted(Path(run).iterdir())
    with pytest.raises(InputError, match="LayerNorm is not: it"):
        export({"run": run})
    assert sorted(Path(run).iterdir()) == before
    run = str(train("normalizer=identity", "callbacks=none", "trainer.max_epochs=1").folder)
    monkeypatch.setattr(export_command, "standalone_logits", lambda *_, **__: np.zeros((40, 2), np.float32))
    with pytest.raises(stock_check.DifferentModelError, match="Nothing was exported"):
        export({"run": run, "output": str(tmp_path / "new" / "exported")})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [({"force": "yes"}, "force"), ({"push": "name"}, "ORG/NAME"), ({}, "finished run")],
)
def test_mistakes(given: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        export({"run": str(tmp_path), **given})
