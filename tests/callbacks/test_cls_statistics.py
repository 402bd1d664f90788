from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import runs
import torch

import clsnorm
from clsnorm.callbacks import ClsStatistics
from clsnorm.callbacks.train_window import TrainWindow
from clsnorm.data import DataModule
from clsnorm.errors import InputError
from clsnorm.model import FineTuner
from clsnorm.statistics import CATALOGUE, find, load

Train = Callable[..., SimpleNamespace]
OPTIONS: dict[str, Any] = {
    "numbers": [],
    "max_examples": None,
    "every": None,
    "window": 8,
    "layers": False,
    "keep_validations": False,
}
# Two runs whose embeddings differ by float32's error alone; that the accumulators add none is in test_split_pass.py.
COMPARABLE = (
    "normalizer=standardize",
    "trainer.max_epochs=1",
    "model.dropout=0",
    "classifier.dropout=0",
    "callbacks.cls_statistics.every=2",
    "callbacks.cls_statistics.window=3",
    "callbacks.cls_statistics.layers=true",
    "callbacks.cls_statistics.max_examples=null",
)


def rows_with(run: SimpleNamespace, name: str) -> list[tuple[int, float]]:
    return [(int(row["step"]), float(row[name])) for row in runs.rows(run.folder / "metrics.csv") if row.get(name)]


@pytest.mark.parametrize("name", ["max_examples", "every", "window"])
@pytest.mark.parametrize("value", [0, "x", 1.5, True])
def test_options_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"`cls_statistics.{name}` .*a whole number of at least 1, but got {value!r}"):
        ClsStatistics(**{**OPTIONS, name: value})


@pytest.mark.parametrize("name", ["layers", "keep_validations"])
def test_a_switch_must_be_true_or_false(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}` to be true or false, but got 'no'"):
        ClsStatistics(**{**OPTIONS, name: "no"})


def test_a_name_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(InputError, match=r"numbers` to be a list of names, but got 'isoscore'\. Use \[isoscore\]"):
        ClsStatistics(**{**OPTIONS, "numbers": "isoscore"})


def test_unknown_number_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"`numbers` .* got 'isoscor'. Did you mean 'isoscore'\? .*effective_rank"):
        ClsStatistics(**{**OPTIONS, "numbers": ["isoscor"]})


def test_numbers_equal_those_of_the_embeddings(train: Train) -> None:
    """The report split's numbers against numpy, from embeddings computed one by one with the loaded model."""
    run = train("normalizer=standardize", "callbacks.cls_statistics.max_examples=null")
    metrics = runs.metrics(run)
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
    eigenvalues = np.linalg.eigvalsh(np.cov(h.T, bias=True)).clip(min=1e-300)
    shares = eigenvalues / eigenvalues.sum()
    assert metrics["cls/report/h/centred_share"] == pytest.approx(share, rel=1e-5)
    assert metrics["cls/report/h/top_energy_share"] == pytest.approx(energy[:5].sum() / energy.sum(), rel=1e-5)
    assert metrics["cls/report/h/effective_rank"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-4)


def test_calibrated_normalizer_starts_centred(train: Train) -> None:
    metrics = runs.metrics(train("normalizer=standardize"))
    assert metrics["cls/start/h/centred_share"] > 0.1
    assert metrics["cls/start/z/centred_share"] < 0.1


def test_each_report_split_has_its_numbers_of_max_examples(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    original = DataModule._adopt

    def two_parts(self: Any, prepared: Any) -> None:
        original(self, prepared)
        self._tokens["report_other"] = self._tokens["select"]
        self._used["report_other"] = self._used["select"]

    monkeypatch.setattr(DataModule, "_adopt", two_parts)
    limits = ("callbacks.cls_statistics.max_examples=20", "callbacks.cls_statistics.layers=true")
    run = train(*limits, "data.eval_batch_size=8", "trainer.max_steps=2")
    for split in ("start", "select", "report", "report_other"):
        assert load(run.folder / "statistics" / f"{split}_h.npz").count == 20
    assert load(run.folder / "statistics" / "report_other_layer01.npz").count == 20
    metrics = runs.metrics(run)
    assert metrics["cls/report/h/isoscore"] != metrics["cls/report_other/h/isoscore"]


def test_every_statistic_can_be_recomputed_from_the_stored_snapshots(train: Train) -> None:
    """All numbers of the catalogue are logged, and recomputed from the files alone."""
    names = ", ".join(statistic.name for statistic in CATALOGUE)
    run = train("normalizer=layernorm", f"callbacks.cls_statistics.numbers=[{names}]", "trainer.max_steps=5")
    metrics = runs.metrics(run)
    for file in ("start_h", "start_z", "report_h", "report_z"):
        snapshot = load(run.folder / "statistics" / f"{file}.npz")
        for statistic in CATALOGUE:
            logged = metrics[f"cls/{file.replace('_', '/')}/{statistic.key}"]
            value = statistic.value(snapshot)
            assert (value if np.isfinite(value) else None) == logged, statistic.name  # null where it is not finite


def test_regression_has_no_numbers_of_classes(train: Train) -> None:
    numbers = "callbacks.cls_statistics.numbers=[classes/fisher_ratio,isoscore]"
    metrics = runs.metrics(train("data.labels=null", "data.task=regression", numbers, "trainer.max_steps=2"))
    found = [name for name in metrics if name.startswith("cls/")]
    assert found
    assert all(name.endswith("/isoscore") for name in found)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_training_batches_equal_those_of_the_last_steps(
    train: Train, monkeypatch: pytest.MonkeyPatch, accumulated: int
) -> None:
    seen: list[tuple[int, torch.Tensor]] = []
    original = FineTuner.training_step

    def recorded(self: Any, *arguments: Any) -> Any:
        output = original(self, *arguments)
        seen.append((self.trainer.global_step + 1, output["h"].double().clone()))
        return output

    monkeypatch.setattr(FineTuner, "training_step", recorded)
    run = train(
        f"trainer.accumulate_grad_batches={accumulated}",
        "callbacks.cls_statistics.every=2",  # of the logged steps, which are every second one
        "callbacks.cls_statistics.window=3",
    )
    logged = rows_with(run, "cls/train/h/centred_share")
    last = max(step for step, _ in seen)
    assert [step + 1 for step, _ in logged] == list(range(4, last + 1, 4))
    for step, value in logged:
        h = torch.cat([rows for at, rows in seen if step - 2 <= at <= step + 1 and at > step + 1 - 3])
        assert value == pytest.approx(float(h.mean(0).square().sum() / h.square().sum(1).mean()), rel=1e-9)
    stored = load(run.folder / "statistics" / "train_h.npz")
    assert find("centred_share", argument="x").value(stored) == pytest.approx(logged[-1][1], rel=1e-12)


def test_the_null_is_logged_at_the_start(train: Train) -> None:
    run = train("trainer.max_steps=1", "callbacks.cls_statistics.numbers=[isoscore,tails/kurtosis,cosine/rogue_1]")
    start = load(run.folder / "statistics" / "start_h.npz")
    for name in ("isoscore", "tails/kurtosis"):
        null = find(name, argument="x").null
        assert null is not None
        assert rows_with(run, f"cls/noise/{name}") == [(0, pytest.approx(null(start), rel=1e-12))]
    assert "cls/noise/cosine/rogue_1" not in runs.metrics(run)  # not known


def test_steps_before_a_measurement_do_not_wait_for_the_device() -> None:
    """Tensors without values: waiting for the device would fail on them."""
    window = TrainWindow(["h"], period=10, length=3)
    for step in range(9):
        window.add({"h": torch.zeros(4, 2, device="meta")}, step=step)
        assert not window.is_due(step)
    assert window.is_due(9)
    assert [part["h"].shape for part in window.take(torch.device("meta"))] == [(4, 2)] * 2


def test_resumed_run_has_the_rows_of_the_whole(train: Train) -> None:
    options = [
        "checkpoint_every=1",
        "normalizer=standardize",
        "callbacks.cls_statistics.every=3",
        "callbacks.cls_statistics.window=4",
    ]
    whole = train(*options, "paths.output=whole")
    with runs.crashing_before(10):  # two of the window's four steps are done
        train(*options)
    resumed = train(*options)
    assert (resumed.folder / "metrics.csv").read_text() == (whole.folder / "metrics.csv").read_text()
    assert runs.metrics(resumed) == runs.metrics(whole)


def numbers_of_cls(run: SimpleNamespace) -> dict[str, float]:
    return {name: value for name, value in runs.metrics(run).items() if "cls/" in name}


@pytest.mark.parametrize(
    "options",
    [
        ["data.eval_batch_size=7"],
        pytest.param(["data.eval_batch_size=9", "trainer=ddp_cpu"], marks=pytest.mark.slow),
    ],
)
def test_batches_and_processes_change_nothing(train: Train, options: list[str]) -> None:
    one = numbers_of_cls(train(*COMPARABLE, "paths.output=one"))
    other = numbers_of_cls(train(*COMPARABLE, *options, "paths.output=other"))
    splits = {name.split("/")[1] for name in one if name.startswith("cls/")}
    assert splits == {"start", "noise", "train", "select", "report"}
    assert one.keys() == other.keys()
    for name, value in one.items():
        if "layer00" not in name:  # one embedding for all texts: its spread is float error
            assert other[name] == pytest.approx(value, rel=2e-3, abs=1e-5), name


def test_layers_are_measured_and_the_result_stays_the_same(train: Train) -> None:
    options = ("model.tap=pooler_pre", "trainer.max_epochs=1", "force=true")
    plain = train(*options, "trainer.val_check_interval=0.5")
    predictions = pd.read_parquet(plain.folder / "predictions.parquet")
    seen = [f"callbacks.cls_statistics.{name}=true" for name in ("layers", "keep_validations")]
    run = train(*options, *seen, "trainer.val_check_interval=0.5")
    assert pd.read_parquet(run.folder / "predictions.parquet").equals(predictions)
    metrics = runs.metrics(run)
    places = {"layer00", "layer01", "layer02", "pooler_pre", "pooler"}
    for split in ("start", "select", "report"):
        found = {name.split("/")[2] for name in metrics if name.startswith(f"cls/{split}/")}
        assert found == places | {"h", "z"}
        for number in ("centred_share", "isoscore"):
            here, tapped = (metrics[f"cls/{split}/{place}/{number}"] for place in ("h", "pooler_pre"))
            assert tapped == pytest.approx(here, rel=1e-4)
    assert rows_with(run, "cls/report/layer01/isoscore")[0][0] == rows_with(run, "cls/report/h/isoscore")[0][0]
    statistics = run.folder / "statistics"
    assert {f"report_{place}.npz" for place in places} <= {path.name for path in statistics.iterdir()}
    validated = rows_with(run, "cls/select/layer01/isoscore")
    assert len(validated) == 2
    for step, value in validated:  # those of each validation
        stored = load(statistics / "validations" / f"step{step:06d}_layer01.npz")
        assert find("isoscore", argument="x").value(stored) == pytest.approx(value, rel=1e-12)
    assert len(list((statistics / "validations").iterdir())) == 2 * len(places | {"h", "z"})


def test_staleness_is_how_far_the_select_split_has_moved(train: Train) -> None:
    run = train("normalizer=standardize", "callbacks.cls_statistics.max_examples=null", "trainer.max_epochs=1")
    metrics = runs.metrics(run)
    calibrated = torch.load(run.folder / "selected.ckpt", weights_only=True)["state_dict"]
    centre, spread = (calibrated[f"classifier.normalizer.calibrated_{name}"].double() for name in ("center", "spread"))
    now = load(run.folder / "statistics" / "select_h.npz").moments
    varied = spread > 0
    shift = ((now.mean - centre) / spread)[varied].square().mean().sqrt()
    stretch = (now.variance.sqrt() / spread)[varied].log().square().mean().sqrt()
    assert metrics["cls/select/staleness/shift"] == pytest.approx(float(shift), rel=1e-6)
    assert metrics["cls/select/staleness/stretch"] == pytest.approx(float(stretch), rel=1e-6)
    assert metrics["cls/select/staleness/shift"] > 0.1


@pytest.mark.parametrize("normalizer", ["robust", "layernorm"])
def test_only_calibrated_normalizers_have_staleness(train: Train, normalizer: str) -> None:
    metrics = runs.metrics(train(f"normalizer={normalizer}", "trainer.max_steps=2"))
    assert ("cls/select/staleness/shift" in metrics) == (normalizer == "robust")


def test_numbers_of_a_diverged_run_are_null(train: Train) -> None:
    run = train("optimizer.lr=1e18", "normalizer=standardize", "trainer.gradient_clip_val=null", "scheduler=constant")
    assert json.loads((run.folder / "results.json").read_text())["status"] == "diverged"
    assert runs.metrics(run)["cls/report/h/isoscore"] is None


def test_load_refuses_a_file_that_is_not_a_snapshot(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="accumulators of a snapshot"):
        load(tmp_path / "other.npz")
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "gone.npz")
