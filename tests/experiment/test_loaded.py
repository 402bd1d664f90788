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


HOSTILE = {  # what a stranger's config.yaml holds, by the key that changes
    "model.path": "${oc.env:MY_SECRET}",
    "classifier.dropout": "${oc.decode:'${oc.env:MY_SECRET}'}",
    "normalizer._target_": "torch.hub.load",
    "classifier.head": {"_target_": "torch.utils.collect_env.run", "command": "touch ran"},
    "classifier.head._args_": [{"_target_": "os.system"}],
    "seeds": {},
    "seeds.init": "x",
    "choices": {},
    "model": None,
    "data": [],
}


def test_a_stranger_s_run_is_refused_in_one_line(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from omegaconf import OmegaConf

    monkeypatch.setenv("MY_SECRET", "hidden")
    folder = train("trainer.max_epochs=1").folder
    path = folder / "config.yaml"
    stored = path.read_text()
    texts = [
        "a: !!python/object/apply:os.system [touch ran]",
        f"{stored}\na: &a [x, x]\nb: [*a, *a]\n",
    ]
    for key, value in HOSTILE.items():
        config = OmegaConf.load(path)
        OmegaConf.update(config, key, value, merge=False)
        texts.append(OmegaConf.to_yaml(config))
    for text in texts:
        path.write_text(text)
        with pytest.raises(InputError) as refusal:
            clsnorm.load_run(folder)
        assert "hidden" not in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert not Path("ran").exists()
        path.write_text(stored)
    assert clsnorm.load_run(folder).results["data"] == "files"
