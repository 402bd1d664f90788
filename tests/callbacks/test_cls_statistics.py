from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import clsnorm
from clsnorm.callbacks import ClsStatistics
from clsnorm.errors import InputError

Train = Callable[..., SimpleNamespace]


@pytest.mark.parametrize("options", [{"top": 0, "max_examples": None}, {"top": 5, "max_examples": 0}])
def test_options_out_of_range(options: dict) -> None:
    with pytest.raises(InputError, match="positive"):
        ClsStatistics(**options)


def test_numbers_are_those_of_the_embeddings(train: Train) -> None:
    """The report split's numbers against numpy, from embeddings computed one by one with the loaded model."""
    run = train("normalizer=standardize", "callbacks.cls_statistics.max_examples=null")
    metrics = json.loads((run.folder / "results.json").read_text())["metrics"]
    loaded = clsnorm.load_run(run.folder)
    lines = open(loaded.config["data"]["report"]).read().splitlines()[1:]  # noqa: PTH123, SIM115
    rows = []
    for tokens in loaded.tokenizer([line.split("\t")[0] for line in lines])["input_ids"]:
        ids = torch.tensor([tokens])
        with torch.no_grad():
            output = loaded.classifier.encoder.model(input_ids=ids, attention_mask=torch.ones_like(ids))
            rows.append(output.last_hidden_state[0, 0].double().numpy())
    h = np.array(rows)
    share = (h.mean(0) ** 2).sum() / (h**2).sum(1).mean()
    energy = np.sort((h**2).mean(0))[::-1]
    assert metrics["cls/report/h/centred_share"] == pytest.approx(share, rel=1e-5)
    assert metrics["cls/report/h/top_energy_share"] == pytest.approx(energy[:5].sum() / energy.sum(), rel=1e-5)


def test_calibrated_normalizer_starts_centred(train: Train) -> None:
    run = train("normalizer=standardize")
    metrics = json.loads((run.folder / "results.json").read_text())["metrics"]
    assert metrics["cls/start/h/centred_share"] > 0.1
    assert metrics["cls/start/z/centred_share"] < 0.1


def test_max_examples_stops_after_the_batch_that_reaches_it(train: Train) -> None:
    run = train("data.eval_batch_size=8", "callbacks.cls_statistics.max_examples=20")
    with np.load(run.folder / "statistics" / "report_h.npz") as file:
        assert int(file["count"]) == 24
