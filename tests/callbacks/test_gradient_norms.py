"""Gradients of single examples against one backward pass per example."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import runs
import torch
from omegaconf import OmegaConf
from pytorch_lightning.plugins import MixedPrecision
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from clsnorm.callbacks import GradientNorms
from clsnorm.errors import InputError
from clsnorm.experiment.assembly import build
from clsnorm.experiment.calibration import calibrate
from clsnorm.lightning_internals import step_number
from clsnorm.losses import example_losses
from clsnorm.run_folder import RunFolder

Train = Callable[..., SimpleNamespace]
# the weights do not move, so that every step's gradients can be recomputed
STILL = [
    "callbacks=gradient_norms",
    "optimizer.lr=1e-30",
    "model.dropout=0",
    "classifier.dropout=0",
    "trainer.max_epochs=1",
    "data.max_train_examples=37",
    "data.batch_size=8",
]


def stored(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "statistics" / "gradients.npz") as arrays:
        return {name: np.sort(arrays[name]) for name in arrays.files}


def one_by_one(folder: Path, scratch: Path) -> dict[str, np.ndarray]:
    """Norms of the gradient of each example's own loss at h and z, by autograd on one example at a time."""
    config: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))  # type: ignore[assignment]
    parts = build({**config, "callbacks": {}}, RunFolder(scratch))
    classifier = parts.module.classifier
    calibrate(classifier, parts.data, cache=scratch, device="cpu")
    classifier.train()
    names = ("h", "z", "head_weight", "head_bias", "below_norm")
    found: dict[str, list[float]] = {name: [] for name in names}
    below: list[torch.Tensor] = []
    norm = classifier.encoder.output_norm()
    norm.register_forward_pre_hook(lambda module, args: below.append(args[0]))
    head = classifier.head
    for part in parts.data.train_dataloader():
        for row in range(len(part)):
            output = classifier(part)
            loss = example_losses(output.logits, part.labels, regression=False)[row]
            for point, tensor in zip(names, (output.h, output.z, head.weight, head.bias, below[-1]), strict=True):
                (gradient,) = torch.autograd.grad(loss, tensor, retain_graph=True)
                own = gradient if point.startswith("head") else gradient[row]
                found[point].append(float(own.norm()))
    return {point: np.sort(norms) for point, norms in found.items()}


@pytest.mark.parametrize("normalizer", ["identity", "layernorm", "zca_whitening"])
@pytest.mark.parametrize("options", [[], ["trainer.accumulate_grad_batches=3", "trainer.gradient_clip_val=1e-3"]])
def test_rows_are_gradients_of_each_examples_own_loss(
    train: Train, tmp_path: Path, normalizer: str, options: list[str]
) -> None:
    run = train(*STILL, f"normalizer={normalizer}", *options)
    ours, theirs = stored(run.folder), one_by_one(run.folder, tmp_path / "scratch")
    assert ours.keys() == {*theirs, "gain_bound"}
    assert {len(values) for values in ours.values()} == {37}
    for point, norms in theirs.items():
        np.testing.assert_allclose(ours[point], norms, rtol=2e-4, atol=1e-7)


Probe = Callable[..., list[str]]


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch, root: Path) -> Probe:
    """Options that add a callback of probes.py on all processes."""
    monkeypatch.setenv("CLSNORM_PACKAGES", "probes")
    monkeypatch.setenv("PYTHONPATH", str(root / "tests" / "helpers"), prepend=os.pathsep)

    def options(kind: str, **values: Any) -> list[str]:
        values = {"_target_": f"probes.{kind}", **values}
        return [f"+callbacks.{kind}.{name}={value}" for name, value in values.items()]

    return options


# judged from the fifth step on, and a spike is tenfold and three deviations
QUICK = ["callbacks.gradient_norms.window=8", "callbacks.gradient_norms.deviations=3"]


def test_a_spike_between_two_logged_steps_is_found_in_its_step(train: Train, probe: Probe) -> None:
    options = ["callbacks=gradient_norms", *QUICK, "trainer.log_every_n_steps=5", "trainer.max_epochs=1"]
    run = train(*options, *probe("Spike", step=6, factor=1e6))
    events = runs.events(run)  # reported when training ends, as no step was logged after it
    places = {"grad/h/max/spike", "grad/below_norm/max/spike", "grad/parameters/total/spike"}
    assert {(event["step"], event["kind"]) for event in events} == {("6", "spike")}
    assert {event["place"] for event in events} == places
    values = {event["place"]: float(event["value"]) for event in events}
    results = json.loads((run.folder / "results.json").read_text())["metrics"]
    assert values["grad/h/max/spike"] == results["grad/run/h/max"]
    with np.load(run.folder / "statistics" / "gradient_steps.npz") as steps:
        assert steps["parameters/total"][6] == values["grad/parameters/total/spike"]


@pytest.mark.parametrize("level", ["1e-3", "null"])
def test_a_run_that_is_large_throughout_ends_if_it_may(train: Train, level: str) -> None:
    options = ["callbacks=gradient_norms", f"callbacks.gradient_norms.level={level}", "trainer.log_every_n_steps=1"]
    options += ["trainer.max_epochs=3"]
    run = train(*options, "abort_on=[explosion]")
    found = runs.results(run)
    if level == "null":
        assert (found["status"], runs.events(run)) == ("completed", [])
    else:
        (event,) = runs.events(run)
        assert (event["step"], event["place"]) == ("15", "grad/h/max/level")
        assert (found["status"], found["aborted_by"], found["steps"]) == ("aborted", "explosion", 16)


@pytest.mark.slow
def test_two_processes_see_the_gradients_of_one(train: Train, probe: Probe, tmp_path: Path) -> None:
    moving = [*STILL, "normalizer=layernorm", "optimizer.lr=1e-4", "optimizer.eps=0.01", "trainer.log_every_n_steps=2"]
    moving += [
        "callbacks.gradient_norms.window=4",
        "callbacks.gradient_norms.deviations=1",
        "callbacks.gradient_norms.growth=1e9",
        *probe("Spike", step=2, factor=1e6),
    ]
    one = train(*moving, "paths.output=one").folder
    reported = runs.rows(one / "events.csv")
    assert {row["step"] for row in reported} == {"2"}  # steps 1 and 3 are logged
    assert {"grad/h/max/spike", "grad/parameters/total/spike"} <= {row["place"] for row in reported}
    for trainer in ("ddp_cpu", "fsdp"):
        where = [f"trainer={trainer}", "trainer.devices=2", f"paths.output={trainer}"]
        two = train(*moving, *where, *probe("NaiveNorm", path=tmp_path / trainer)).folder
        for point, norms in stored(one).items():
            np.testing.assert_allclose(stored(two)[point], norms, rtol=2e-4, atol=1e-7)
        for event, other in zip(runs.rows(two / "events.csv"), reported, strict=True):
            assert {**event, "value": ""} == {**other, "value": ""}
            assert float(event["value"]) == pytest.approx(float(other["value"]), rel=1e-3)
        with (
            np.load(two / "statistics" / "gradient_steps.npz") as ours,
            np.load(one / "statistics" / "gradient_steps.npz") as theirs,
        ):
            assert set(ours.files) == set(theirs.files)
            for name in theirs.files:
                np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-3, atol=1e-7, err_msg=name)
        assert len(columns(one)) == 2
        naive = [np.loadtxt(tmp_path / f"{trainer}{rank}")[1::2] for rank in range(2)]  # in the logged steps
        total = np.array([float(row["grad/parameters/total"]) for row in columns(one)])
        if trainer == "fsdp":  # `.item()` of a sharded gradient is of the shard alone
            assert all((norms < 0.95 * total).all() for norms in naive)
        else:
            np.testing.assert_allclose(naive, [total, total], rtol=1e-3)
        for ours, theirs in zip(columns(two), columns(one), strict=True):
            assert float(ours["grad/update_ratio/layer01/attention"]) > 0
            assert ours.keys() == theirs.keys()
            for name in ours:
                assert float(ours[name] or 0) == pytest.approx(float(theirs[name] or 0), rel=1e-3, abs=1e-6), name


def test_a_normalizer_that_mixes_the_batch_is_labelled_so(train: Train) -> None:
    run = train(*STILL, "normalizer=batchnorm", "data.max_train_examples=32")
    assert set(stored(run.folder)) == {"h_of_sum", "z", "gain_bound", "below_norm_of_sum", "head_weight", "head_bias"}


def columns(folder: Path) -> list[dict[str, str]]:
    return [row for row in runs.rows(folder / "metrics.csv") if row.get("grad/gain")]


def test_logged_numbers_are_consistent(train: Train) -> None:
    run = train(
        "callbacks=gradient_norms",
        "normalizer=layernorm",
        "model.tap=pooler",  # all parts have parameters
        "trainer.gradient_clip_val=0.5",
        "trainer.log_every_n_steps=4",
        "trainer.max_epochs=1",
    )
    rows = columns(run.folder)
    steps = json.loads((run.folder / "results.json").read_text())["steps"]
    assert [int(row["step"]) for row in rows] == list(range(3, steps, 4))
    for row in rows:
        number = {name: float(value) for name, value in row.items() if value}
        payload = {name: value for name, value in number.items() if name.startswith("grad/")}
        assert len(payload) == 65 + 11 * 2  # the documented maximum for two layers
        assert len(json.dumps(payload)) <= 75 * len(payload)
        assert number["grad/h/median"] <= number["grad/h/p95"] <= number["grad/h/p99"] <= number["grad/h/max"]
        assert number["grad/gain"] == pytest.approx(number["grad/h/mean"] / number["grad/z/mean"])
        sums = ("grad/parameters/total", "grad/parameters/body")
        parts = [v for name, v in number.items() if name.startswith("grad/parameters/") and name not in sums]
        total = number["grad/parameters/total"]
        assert np.linalg.norm(parts) == pytest.approx(total, rel=1e-6)
        assert number["grad/clipped/total"] == pytest.approx(min(total, 0.5), rel=1e-3)
        assert number["grad/clip_coefficient"] == pytest.approx(min(1.0, 0.5 / total), rel=1e-3)
        for name in ("head", "embeddings", "layer01/ffn"):
            clipped = number["grad/clip_coefficient"] * number[f"grad/parameters/{name}"]
            assert number[f"grad/clipped/{name}"] == pytest.approx(clipped, rel=1e-5)
        assert 0 < number["grad/update_ratio/head"] < 1
        assert number["grad/z/max"] <= number["grad/z/bound"]
    results = json.loads((run.folder / "results.json").read_text())["metrics"]
    with np.load(run.folder / "statistics" / "gradient_steps.npz") as series:
        assert len(series["step"]) == steps
        for row in rows:
            at = int(row["step"])
            for name in ("total", "body", "head", "layer01/ffn"):
                assert series[f"parameters/{name}"][at] == float(row[f"grad/parameters/{name}"])
            assert series["clip_coefficient"][at] == pytest.approx(float(row["grad/clip_coefficient"]), rel=1e-5)
        clipped = series["parameters/total"] + 1e-6 > 0.5
        assert results["grad/steps/clipped_share"] == clipped.mean()
        first = series["h/max"][: -(-steps // 10)]
        assert results["grad/steps/h/max/start/max"] == first.max()
    assert results["grad/run/h/max"] >= max(float(row["grad/h/max"]) for row in rows)
    assert len(stored(run.folder)["h"]) == json.loads((run.folder / "results.json").read_text())["train_examples"]


def test_identity_has_gain_one(train: Train) -> None:
    run = train(*STILL, "normalizer=identity")
    for row in columns(run.folder):
        assert float(row["grad/gain"]) == pytest.approx(1.0)
        assert float(row["grad/rms_gain"]) == pytest.approx(1.0)
        assert float(row["grad/gain_bound"]) == 1.0


@pytest.mark.parametrize("normalizer", ["layernorm", "zca_whitening", "batchnorm"])
def test_gain_stays_below_its_bound(train: Train, normalizer: str) -> None:
    run = train("callbacks=gradient_norms", f"normalizer={normalizer}", "trainer.max_epochs=1", "data.batch_size=8")
    rows = columns(run.folder)
    assert rows
    for row in rows:
        bound = float(row["grad/gain_bound"]) * (1 + 1e-5)
        assert 0 < float(row["grad/rms_gain"]) <= bound
        if normalizer != "batchnorm":  # its rows at h are not those of single examples
            assert float(row["grad/gain"]) <= bound


def test_a_normalizer_without_a_bound_logs_none(train: Train) -> None:
    run = train(*STILL, "normalizer=iternorm", "data.max_train_examples=32")
    assert not any(row.get("grad/gain_bound") for row in columns(run.folder))
    assert set(stored(run.folder)) == {"h_of_sum", "z", "below_norm_of_sum", "head_weight", "head_bias"}


class Reads(TorchFunctionMode):
    """Counts how often the host reads values of an observer's tensors: each time it would wait for the device.

    Results of host values alone are on the host, and so is what `READING` returns.
    """

    READING: ClassVar[set[str]] = {
        "cpu", "item", "tolist", "numpy", "nonzero", "unique", "__bool__", "__float__", "__int__", "__index__",
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._host: dict[int, torch.Tensor] = {}  # references, so that no id is used twice

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        on_host, reads = all(id(tensor) in self._host for tensor in given), func.__name__ in self.READING
        self.count += reads and not on_host
        if on_host or reads:
            self._host |= {id(leaf): leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)}
        return result


def test_the_host_waits_for_the_device_only_once_per_logged_step(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[int, int] = {}

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *arguments: Any) -> Any:
            with Reads() as reads:
                result = method(self, *arguments)
            found[steps[-1]] = found.get(steps[-1], 0) + reads.count
            return result

        return call

    steps = [0]
    for name in ("_see", "_take", "_see_head", "on_before_optimizer_step", "on_train_batch_end"):
        monkeypatch.setattr(GradientNorms, name, counted(getattr(GradientNorms, name)))
    start = GradientNorms.on_train_batch_start

    def begin(self: Any, trainer: Any, *arguments: Any) -> None:
        steps.append(step_number(trainer))
        start(self, trainer, *arguments)

    monkeypatch.setattr(GradientNorms, "on_train_batch_start", begin)
    train("callbacks=gradient_norms", "trainer.log_every_n_steps=3", "trainer.max_steps=7", "normalizer=layernorm")
    assert found == {step: int(step % 3 == 2) for step in range(7)}


def test_watching_changes_nothing(train: Train) -> None:
    def weights(*options: str) -> dict[str, torch.Tensor]:
        folder = train("trainer.max_epochs=1", "normalizer=layernorm", "force=true", *options).folder
        return torch.load(folder / "selected.ckpt", weights_only=True)["state_dict"]

    watched, alone = weights("callbacks=gradient_norms"), weights("callbacks=none")
    assert all(torch.equal(watched[name], alone[name]) for name in alone)


def test_resumed_run_has_the_rows_and_norms_of_the_whole(train: Train) -> None:
    options = ["callbacks=gradient_norms", "checkpoint_every=1", "trainer.log_every_n_steps=3"]
    whole = train(*options, "paths.output=whole").folder
    with runs.crashing_before(7):
        train(*options)
    resumed = train(*options).folder
    assert columns(resumed) == columns(whole)
    for file in ("gradients", "gradient_steps"):
        with (
            np.load(whole / "statistics" / f"{file}.npz") as ours,
            np.load(resumed / "statistics" / f"{file}.npz") as o,
        ):
            assert set(ours.files) == set(o.files)
            for name in ours.files:
                np.testing.assert_array_equal(o[name], ours[name], err_msg=name)


def scale_losses(monkeypatch: pytest.MonkeyPatch) -> torch.amp.GradScaler:
    """float16 with a scale that grows while training, as on a GPU: a CPU has no autocast in float16."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    monkeypatch.setattr("clsnorm.experiment.job.require_precision", lambda *arguments, **named: None)
    monkeypatch.setattr(
        "pytorch_lightning.trainer.connectors.accelerator_connector._AcceleratorConnector._check_and_init_precision",
        lambda connector: MixedPrecision("16-mixed", device="cpu", scaler=scaler),
    )
    return scaler


def test_the_scale_of_amp_is_undone(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = stored(train(*STILL, "normalizer=layernorm").folder)
    scaler = scale_losses(monkeypatch)
    half = stored(train(*STILL, "normalizer=layernorm", "trainer.precision=16-mixed").folder)
    assert scaler.get_scale() > 1024
    for point in ("h", "z"):
        np.testing.assert_allclose(half[point], exact[point], rtol=0.05, atol=1e-3)


def test_a_norm_read_after_backward_is_scaled_and_of_one_batch(
    train: Train, monkeypatch: pytest.MonkeyPatch, probe: Probe, tmp_path: Path
) -> None:
    """Under AMP, a naive norm is wrong; hooks on parameters, as in wandb.watch, give the same wrong number."""
    scale_losses(monkeypatch)
    options = ["trainer.precision=16-mixed", "trainer.accumulate_grad_batches=2", "trainer.log_every_n_steps=1"]
    run = train(*STILL, *options, *probe("NaiveNorm", path=tmp_path / "naive"))
    naive = np.loadtxt(tmp_path / "naive0")
    first = columns(run.folder)[0]
    assert len(naive) == 5  # one per batch, in three steps
    assert naive[1] == pytest.approx(1024 * float(first["grad/parameters/total"]), rel=1e-3)
    assert naive[0] < naive[1]


OWN = ("optimizer._target_=torch.optim.AdamW", "~optimizer.layer_decay", "~optimizer.head_lr_factor")


@pytest.mark.parametrize("optimizer", [(), (*OWN, "+optimizer.fused=true")], ids=["ours", "unscales_by_itself"])
def test_a_step_that_amp_skips_is_not_reported_as_an_explosion(
    train: Train, monkeypatch: pytest.MonkeyPatch, probe: Probe, optimizer: tuple[str, ...]
) -> None:
    scale_losses(monkeypatch)
    options = ["trainer.precision=16-mixed", "trainer.log_every_n_steps=4", *probe("Spike", step=3, factor="inf")]
    run = train(*STILL, *optimizer, *options, "normalizer=layernorm", "callbacks.gradient_norms.updates=false")
    assert [(event["step"], event["kind"]) for event in runs.events(run)] == [("3", "skipped_step")]
    assert {len(norms) for norms in stored(run.folder).values()} == {37 - 8}
    metrics = json.loads((run.folder / "results.json").read_text())["metrics"]
    assert all(np.isfinite(metrics[f"grad/run/{point}/max"]) for point in ("h", "z"))
    (row,) = columns(run.folder)  # the skipped step
    assert np.isfinite(float(row["grad/h/max"]))
    assert row["grad/parameters/total"] == row["grad/clipped/head"] == "nan"


def test_bf16_gradients_are_close(train: Train) -> None:
    exact = stored(train(*STILL, "normalizer=layernorm").folder)
    half = stored(train(*STILL, "normalizer=layernorm", "trainer.precision=bf16-mixed").folder)
    np.testing.assert_allclose(half["h"], exact["h"], rtol=0.1, atol=1e-3)


@pytest.mark.parametrize(
    ("option", "rule"),
    [
        *(("top=33", "from 1 to 32"), ("top=0", "at least 1"), ("updates=maybe", "true or false")),
        *(("window=3", "at least 4"), ("deviations=0", "positive"), ("growth=1", "above 1"), ("level=-1", "positive")),
    ],
)
def test_wrong_options_are_refused_before_training(train: Train, option: str, rule: str) -> None:
    name = option.partition("=")[0]
    with pytest.raises(InputError, match=f"{name}`.*{rule}"):
        train("callbacks=gradient_norms", f"callbacks.gradient_norms.{option}")
    assert not Path("runs").exists()


def test_true_is_not_accepted_as_a_number_of_dimensions() -> None:
    with pytest.raises(InputError, match="top` to be a whole number of at least 1, but got True"):
        GradientNorms(top=True, updates=True, window=8, deviations=6.0, growth=4.0, level=None)
