"""`load_run`: the model of a finished run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from runs import metrics

import clsnorm
from clsnorm.errors import InputError
from clsnorm.experiment.loaded import LoadedRun

Train = Callable[..., SimpleNamespace]


def test_load_run_predicts_as_the_run_did(
    train: Train, monkeypatch: pytest.MonkeyPatch, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = train("normalizer=standardize", f"model.path={os.path.relpath(tiny_bert)}")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))  # where the relative path leads nowhere
    loaded = clsnorm.load_run(run.folder)
    assert isinstance(loaded, LoadedRun)
    assert loaded.results["metrics"] == metrics(run)
    assert not loaded.classifier.training
    assert loaded.config["choices"]["normalizer"] == "standardize"
    predictions = pd.read_parquet(run.folder / "predictions.parquet").set_index("example_id")
    row = predictions.iloc[3]
    text = Path(loaded.config["data"]["report"]).read_text().splitlines()
    encoded = loaded.tokenizer([line.split("\t")[0] for line in text[1:]])["input_ids"]
    tokens = torch.tensor([encoded[int(predictions.index[3])]])
    batch = clsnorm.Batch(
        token_ids=tokens,
        positions=torch.arange(tokens.shape[1])[None],
        segment_ids=torch.zeros_like(tokens),
        lengths=torch.tensor([tokens.shape[1]]),
        labels=torch.tensor([0]),
        example_ids=torch.tensor([0]),
        global_size=1,
    )
    with torch.no_grad():
        probability = loaded.classifier(batch).logits.softmax(-1)[0, 1].item()
    assert probability == pytest.approx(row.p1, abs=1e-5)
    assert {"Batch", "InputError", "load_run"} <= set(dir(clsnorm))


def test_load_run_of_an_unfinished_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="finished run"):
        clsnorm.load_run(tmp_path)


def test_a_model_that_now_needs_its_own_code_is_refused(train: Train, tiny_bert: Path, workspace: Path) -> None:
    shutil.copytree(tiny_bert, workspace / "model")
    run = train(f"model.path={workspace}/model", "trainer.max_steps=1", "callbacks=none")
    (workspace / "model" / "evil.py").write_text("raise SystemExit('ran')")
    config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.EvilConfig", "AutoModel": "evil.EvilModel"}}
    (workspace / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"Custom code is not run"):
        clsnorm.load_run(run.folder)
