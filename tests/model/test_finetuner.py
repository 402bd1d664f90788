"""The LightningModule: training, logging and saving on one process and on two."""

import contextlib
import functools
import importlib.util
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import transformers
from plain_losses import SQUARED_ERROR
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.plugins.precision.amp import _optimizer_handles_unscaling
from torch.utils.data import DataLoader
from torchmetrics import MeanSquaredError
from torchmetrics.classification import MulticlassAccuracy

from clsnorm.errors import InputError
from clsnorm.losses import StandardLoss, Task
from clsnorm.metrics import ClassF1, predictions
from clsnorm.model import Classifier, Encoder
from clsnorm.model.scores import Scores
from clsnorm.normalizers import Identity, PowerNorm
from clsnorm.optim import AdamW
from clsnorm.optim.schedules import Linear

SCRIPT = Path(__file__).parents[1] / "helpers" / "two_processes.py"


@pytest.fixture(scope="module")
def shared():
    spec = importlib.util.spec_from_file_location("two_processes", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_twenty_steps_equal_transformers_own_classifier(tiny, make_batch, shared):
    """BertForSequenceClassification, torch's AdamW in Trainer's two groups, its linear schedule, clipping at 1."""
    folder = tiny("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    encoder = Encoder(folder, tap="pooler")
    classifier = Classifier(encoder, Identity(24), num_outputs=2, seed_init=0, dropout=0.0)
    reference = transformers.BertForSequenceClassification.from_pretrained(folder, num_labels=2, classifier_dropout=0.0)
    reference.classifier.load_state_dict(classifier.head.state_dict())
    lengths = [[3 + (5 * (i % 4) + 7 * j) % 17 for j in range(8)] for i in range(20)]  # four batches, five times
    optimizer = functools.partial(AdamW, lr=3e-3, eps=1e-8, weight_decay=0.1)
    tuner = shared.finetuner(folder, optimizer=optimizer, scheduler=functools.partial(Linear, warmup_ratio=0.1))
    tuner.classifier = classifier
    losses = shared.Losses()
    packed = DataLoader([make_batch(row, packed=True, seed=i % 4) for i, row in enumerate(lengths)], batch_size=None)
    shared.trainer(callbacks=[losses], max_epochs=1, gradient_clip_val=1.0).fit(tuner, packed)

    spared = [p for n, p in reference.named_parameters() if "bias" in n or "LayerNorm" in n]
    decayed = [p for n, p in reference.named_parameters() if not ("bias" in n or "LayerNorm" in n)]
    adamw = torch.optim.AdamW([{"params": decayed}, {"params": spared, "weight_decay": 0.0}], lr=3e-3, weight_decay=0.1)
    schedule = transformers.get_linear_schedule_with_warmup(adamw, 2, 20)
    expected = []
    reference.train()
    for i, row in enumerate(lengths):
        b = make_batch(row, seed=i % 4)
        out = reference(b.token_ids, b.mask.long(), b.segment_ids, labels=b.labels)
        out.loss.backward()
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
        adamw.step()
        schedule.step()
        adamw.zero_grad()
        expected.append(out.loss.item())
    assert sum(expected[:4]) - sum(expected[-4:]) > 0.05  # it did learn
    assert max(abs(a - b) for a, b in zip(losses.seen, expected, strict=True)) < 1e-6


@pytest.fixture(scope="module")
def two(tiny, tmp_path_factory):
    """Results of two gloo processes: one start for all tests below."""
    out = tmp_path_factory.mktemp("two")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {
        "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test",
        "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    children = []
    for i in range(2):
        environment = os.environ | common | {"RANK": str(i), "LOCAL_RANK": str(i), "GROUP_RANK": "0"}
        command = [sys.executable, str(SCRIPT), tiny("bert"), str(out)]
        children.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    try:
        errors = [child.communicate(timeout=120)[1] for child in children]
    finally:
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0, 0], "\n".join(errors)
    assert "sync_dist" not in "".join(errors)
    return [torch.load(out / f"{i}.pt", weights_only=True) for i in range(2)]


@pytest.fixture(scope="module")
def one(tiny, shared):
    return shared.run(tiny("bert"), 0, 1)


@pytest.mark.slow
def test_two_processes_train_as_one_with_uneven_and_empty_parts(one, two, tiny, shared):
    assert [result["world_size"] for result in two] == [2, 2]
    start = dict(shared.finetuner(tiny("bert")).classifier.named_parameters())
    for name, weight in one["weights"].items():
        torch.testing.assert_close(two[0]["weights"][name], weight, atol=1e-6, rtol=1e-5, msg=name)
        assert torch.equal(two[0]["weights"][name], two[1]["weights"][name])
    assert (one["weights"]["head.weight"] - start["head.weight"]).abs().max() > 1e-3
    assert two[0]["losses"] == pytest.approx(one["losses"], rel=2e-6)
    assert len(one["losses"]) == 8


@pytest.mark.slow
def test_two_processes_score_as_one(one, two):
    assert set(one["select"]) == {"select/loss", "select/accuracy", "select/auroc"}
    assert {"report/accuracy", "report_mismatched/auroc", "report_mismatched/loss"} <= set(one["reports"])
    for result in two:
        assert result["select"] == pytest.approx(one["select"], abs=1e-6)
        assert result["reports"] == pytest.approx(one["reports"], abs=1e-6)
        assert result["regression"] == one["regression"]  # equal to the bit, although one process had no examples
    assert one["reports"]["report/loss"] != pytest.approx(one["reports"]["report_mismatched/loss"])


def test_scores_do_not_depend_on_the_split_into_steps_or_its_order():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(11, 3, generator=generator).softmax(-1)
    labels = torch.randint(3, (11,), generator=generator)
    losses, ids = torch.rand(11, generator=generator), torch.arange(11)
    results = []
    for parts in (torch.arange(11)[None], torch.randperm(11, generator=generator)[None], ids.split(4)):
        scores = Scores({"accuracy": MulticlassAccuracy(3, average="micro")})
        for rows in parts:
            scores.update(ids[rows], probabilities[rows], labels[rows], losses[rows])
        scores.update(ids[:0], probabilities[:0], labels[:0], losses[:0])
        results.append(scores.compute())
    assert results[0] == results[1] == results[2]
    assert results[0]["accuracy"] == pytest.approx((probabilities.argmax(-1) == labels).float().mean().item())
    assert results[0]["loss"] == pytest.approx(losses.double().mean().item())
    scores.reset()
    assert scores.compute()["loss"] != scores.compute()["loss"]  # NaN: nothing was seen


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("regression", [False, True])
def test_a_split_with_a_prediction_that_is_not_finite_has_no_scores(monkeypatch, bad, regression):
    """Also if it is on another process, and if its loss is finite: argmax of NaN would be class 0."""
    metrics = {"mse": MeanSquaredError()} if regression else {"accuracy": MulticlassAccuracy(2), "f1": ClassF1(2)}
    logits = torch.tensor([[1.0], [2.0]]) if regression else torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    labels = torch.tensor([1.0, 2.0]) if regression else torch.tensor([0, 1])
    for own_is_bad in (None, True, False):
        scores, spoiled = Scores(metrics), logits.clone()
        spoiled[1, -1] = bad
        own = logits if own_is_bad is not True else spoiled
        scores.update(torch.arange(2), predictions(own, regression=regression), labels, torch.zeros(2))
        if own_is_bad is False:
            theirs = (torch.arange(2, 4), predictions(spoiled, regression=regression), labels, torch.zeros(2))
            monkeypatch.setattr("clsnorm.model.scores.gather_objects", lambda rows, theirs=theirs: [rows, theirs])
        found = scores.compute()
        assert found.keys() == {"loss", *metrics}
        assert all(math.isfinite(value) is (own_is_bad is None) for value in found.values())


def test_a_loss_with_parameters_is_refused(tiny, make_batch, shared):
    class Scaled(StandardLoss):
        def __init__(self):
            super().__init__(Task(("a", "b"), (1, 1)))
            self.scale = torch.nn.Parameter(torch.ones(()))

    with pytest.raises(InputError, match=r"`loss`.*without parameters.*scale"):
        shared.finetuner(tiny("bert"), loss=Scaled())


def test_regression_uses_squared_error(tiny, make_batch, shared):
    tuner = shared.finetuner(tiny("bert"), loss=SQUARED_ERROR, metrics={"mse": MeanSquaredError()})
    tuner.classifier = Classifier(tuner.classifier.encoder, Identity(24), num_outputs=1, seed_init=0, dropout=0.0)
    batch = make_batch([4, 9, 6])
    values = torch.tensor([0.5, -1.0, 3.0])
    batch = type(batch)(**{f: getattr(batch, f) for f in batch.__slots__} | {"labels": values})
    fitter = shared.trainer()
    (result,) = fitter.validate(tuner, DataLoader([batch], batch_size=None), verbose=False)
    expected = (tuner.classifier.eval()(batch).logits[:, 0] - values).square().mean().item()
    assert result["select/loss"] == pytest.approx(expected, rel=1e-5)
    assert result["select/mse"] == pytest.approx(expected, rel=1e-5)


class Collect(pl.Callback):
    def __init__(self, spoil=False):
        self.steps, self.spoil = [], spoil

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        torch.manual_seed(1234 if self.spoil else 4321)  # callbacks come before the module's own hook

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps.append(outputs)


def test_steps_return_the_outputs_that_observers_need(tiny, shared):
    collect = Collect()
    tuner = shared.finetuner(tiny("bert"))
    shared.trainer(callbacks=[collect], max_epochs=1).fit(tuner, shared.batches(0, index=0, count=1))
    assert [len(step["labels"]) for step in collect.steps] == list(shared.GLOBAL_SIZES)
    step = collect.steps[0]
    assert set(step) == {"loss", "logits", "labels", "example_ids", "h", "z"}
    assert step["h"].shape == step["z"].shape == (6, 24)
    assert not any(step[name].requires_grad for name in ("logits", "h", "z"))
    assert step["loss"].item() == pytest.approx(
        torch.nn.functional.cross_entropy(step["logits"], step["labels"]).item(), rel=1e-5
    )


def test_dropout_masks_depend_only_on_their_seed(tiny, shared):
    def train(seed_dropout, spoil):
        collect = Collect(spoil)
        tuner = shared.finetuner(tiny("bert"), dropout=0.3, seed_dropout=seed_dropout)
        shared.trainer(callbacks=[collect]).fit(tuner, shared.batches(0, index=0, count=1))
        return [step["loss"].item() for step in collect.steps]

    first = train(0, spoil=False)
    assert first == train(0, spoil=True)
    assert first != train(1, spoil=False)


def test_masks_differ_from_batch_to_batch(tiny, shared, make_batch):
    collect = Collect()
    optimizer = functools.partial(torch.optim.SGD, lr=0.0)
    tuner = shared.finetuner(tiny("bert"), dropout=0.3, optimizer=optimizer)
    loader = DataLoader([make_batch([5, 8], packed=True)] * 3, batch_size=None)
    shared.trainer(callbacks=[collect], max_epochs=2).fit(tuner, loader)
    assert len({step["loss"].item() for step in collect.steps}) == 6


def test_checkpoint_holds_plain_tensors(tiny, shared, tmp_path):
    optimizer = functools.partial(AdamW, lr=1e-3, layer_decay=0.9)
    tuner = shared.finetuner(tiny("bert"), optimizer=optimizer)
    fitter = shared.trainer(max_epochs=1)
    fitter.fit(tuner, shared.batches(0, index=0, count=1), shared.batches(100, index=0, count=1))
    fitter.save_checkpoint(tmp_path / "x.ckpt")
    checkpoint = torch.load(tmp_path / "x.ckpt", weights_only=True)
    fresh = shared.finetuner(tiny("bert"), optimizer=optimizer)
    fresh.load_state_dict(checkpoint["state_dict"], strict=True)
    for (name, a), b in zip(tuner.named_parameters(), fresh.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert all(name.startswith("classifier.") for name in checkpoint["state_dict"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_passed_on(value, tiny, shared):
    tuner = shared.finetuner(tiny("bert"))
    tuner.classifier.head.weight.data.fill_(value)
    losses = shared.Losses()
    fitter = shared.trainer(callbacks=[losses], max_epochs=1)
    fitter.fit(tuner, shared.batches(0, index=0, count=1), shared.batches(100, index=0, count=1))
    assert len(losses.seen) == len(shared.GLOBAL_SIZES)
    assert losses.seen[0] != losses.seen[0]
    assert fitter.callback_metrics["select/loss"].isnan()


def test_encoder_stays_in_training_mode_and_the_schedule_steps(tiny, shared):
    tuner = shared.finetuner(tiny("bert"))
    modes, rates = [], []

    class Watch(pl.Callback):
        def on_before_zero_grad(self, trainer, pl_module, optimizer):
            modes.append(pl_module.classifier.encoder.model.embeddings.dropout.training)
            rates.append(optimizer.param_groups[0]["lr"])

    fitter = shared.trainer(callbacks=[Watch()])
    fitter.fit(tuner, shared.batches(0, index=0, count=1), shared.batches(100, index=0, count=1))
    assert modes == [True] * 8  # the second epoch too, after a validation
    assert rates == pytest.approx([0.05 * (1 - i / 8) for i in range(8)])


class Scaled(MixedPrecision):
    """Scales the loss as half precision does, but computes in float32."""

    def __init__(self):
        super().__init__("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=2.0**12, growth_interval=2))

    def forward_context(self):
        return contextlib.nullcontext()


def test_powernorm_gets_the_loss_scale(tiny, shared):
    averages = []
    for plugins in ([], [Scaled()]):
        tuner = shared.finetuner(tiny("bert"))
        tuner.classifier.normalizer = PowerNorm(24, warmup_steps=1)
        shared.trainer(plugins=plugins).fit(tuner, shared.batches(0, index=0, count=1))
        averages.append(tuner.classifier.normalizer.nu)
    assert float(tuner.classifier.normalizer.loss_scale) > 2.0**12  # it has grown
    assert float(averages[0].abs().max()) > 1e-3
    torch.testing.assert_close(averages[1], averages[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", [AdamW, functools.partial(torch.optim.AdamW, fused=True)])
def test_unscaling_is_left_to_the_scaler(tiny, shared, optimizer):
    """Lightning refuses to clip the gradients of an optimizer that unscales them, even in bf16-mixed."""
    tuner = shared.finetuner(tiny("bert"), optimizer=functools.partial(optimizer, lr=1e-3))
    fitter = shared.trainer(plugins=[Scaled()], gradient_clip_val=1.0)
    fitter.fit(tuner, shared.batches(0, index=0, count=1))
    assert not _optimizer_handles_unscaling(fitter.optimizers[0])
