"""Whole runs of a tiny model in this process: records, seeds, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from omegaconf.errors import InterpolationResolutionError
from runs import crashing, events, results, rows, weights

from clsnorm import load_run
from clsnorm.errors import InputError
from clsnorm.model import FineTuner
from clsnorm.run_folder import RunFolder

Train = Callable[..., SimpleNamespace]


def test_a_run_writes_its_results_and_files(train: Train) -> None:
    run = train("normalizer=layernorm")
    found = results(run)
    assert found["status"] == "completed"
    assert (found["data"], found["normalizer"], found["model"]) == ("files", "layernorm", "any")
    assert found["seeds"] == {"init": 0, "order": 0, "dropout": 0, "subset": 0, "noise": 0}
    assert run.score == found["metrics"]["select/accuracy"]
    assert found["majority"] == pytest.approx(0.5)
    assert not found["collapsed"]
    assert found["metrics"]["report/accuracy"] > 0.9
    assert 0 < found["metrics"]["cls/start/h/centred_share"] < 1
    assert found["examples_per_second"] > 0
    assert run.folder.name.endswith(found["config_hash"][:8])
    names = {path.name for path in run.folder.iterdir() if not path.name.startswith(".")}
    expected = {
        "config.yaml",
        "metrics.csv",
        "events.csv",
        "predictions.parquet",
        "results.json",
        "selected.ckpt",
        "statistics",
    }
    assert expected <= names
    assert "last.ckpt" not in names
    assert not [name for name in names if name.startswith("lightning_logs")]


def test_metrics_and_predictions_agree_with_results(train: Train) -> None:
    run = train()
    found = results(run)
    predictions = pd.read_parquet(run.folder / "predictions.parquet")
    assert len(predictions) == 40
    assert predictions.example_id.is_unique
    accuracy = ((predictions.p1 > predictions.p0) == predictions.label).mean()
    assert accuracy == pytest.approx(found["metrics"]["report/accuracy"])
    logged = rows(run.folder / "metrics.csv")
    steps = [int(row["step"]) for row in logged]
    assert steps == sorted(steps)
    losses = [float(row["train/loss"]) for row in logged if row["train/loss"]]
    assert len(losses) == found["steps"] // 2
    assert losses[-1] < losses[0]
    select = [float(row["select/accuracy"]) for row in logged if row["select/accuracy"]]
    assert max(select) == pytest.approx(found["metrics"]["select/accuracy"])


def test_validations_are_logged_at_the_documented_steps(train: Train) -> None:
    for steps, expected in ((7, [7]), (8, [7]), (10, [7, 10])):  # epochs have 8
        run = train("callbacks=none", f"trainer.max_steps={steps}")
        logged = rows(run.folder / "metrics.csv")
        assert [int(row["step"]) for row in logged if row["select/accuracy"]] == expected


def test_the_name_depends_on_options_that_change_the_result_and_on_no_others(train: Train) -> None:
    def folder(*overrides: str) -> str:
        from hydra import compose, initialize_config_dir

        with initialize_config_dir(str(Path(__file__).parents[2] / "conf"), version_base="1.3"):
            return compose("train", ["data=sst2", *overrides], return_hydra_config=True).hydra.run.dir

    base = folder()
    for same in ("paths.data=/elsewhere", "trainer=ddp_cpu", "logger=wandb", "callbacks=none", "data.num_workers=2"):
        assert folder(same) == base, same
    for other in (
        "seed=1",
        "seeds.order=1",
        "optimizer.lr=1e-4",
        "normalizer=layernorm",
        "trainer.precision=bf16-mixed",
        "+trainer.limit_train_batches=3",
        "+trainer.fast_dev_run=true",
    ):
        assert folder(other) != base, other


@pytest.mark.parametrize("normalizer", ["identity", "batchnorm", "isobn"])
def test_same_seed_gives_the_same_weights_bit_for_bit(train: Train, normalizer: str) -> None:
    first = weights(train(f"normalizer={normalizer}"))
    second = weights(train(f"normalizer={normalizer}", "force=true"))
    other = weights(train(f"normalizer={normalizer}", "seed=1"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("stream", ["init", "order", "dropout", "subset", "noise"])
def test_each_seed_stream_matters(train: Train, stream: str) -> None:
    short = ("trainer.max_epochs=1", "data.max_train_examples=50", "data.label_noise=0.2")
    base = weights(train(*short))
    moved = weights(train(*short, f"seeds.{stream}=1"))
    assert any(not torch.equal(base[key], moved[key]) for key in base)


def test_observers_do_not_change_the_result(train: Train) -> None:
    watched = weights(train("callbacks=default"))
    alone = weights(train("callbacks=none", "force=true"))
    assert all(torch.equal(watched[key], alone[key]) for key in watched)


def test_results_distinguish_the_selected_weights_from_the_last_ones(train: Train) -> None:
    run = train("optimizer.lr=2e-2", "trainer.max_epochs=4")
    found = results(run)
    assert found["selected_step"] < found["steps"]
    logged = [row for row in rows(run.folder / "metrics.csv") if row["cls/select/h/centred_share"]]
    chosen = max(logged, key=lambda row: float(row["select/accuracy"]))
    key = "cls/select/h/centred_share"
    assert found["metrics"][key] == pytest.approx(float(chosen[key]), rel=1e-6)
    assert found["metrics"][f"last/{key}"] == pytest.approx(float(logged[-1][key]), rel=1e-6)


def test_memory_is_measured_per_run(train: Train) -> None:
    hoard = bytearray(600 * 2**20)
    hoard[::4096] = b"x" * len(hoard[::4096])
    del hoard
    import resource

    whole_process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    assert results(train("trainer.max_steps=1"))["peak_memory_mb"] < whole_process - 100


DIVERGING = ("optimizer.lr=1e30", "trainer.gradient_clip_val=null", "scheduler=constant")


def test_a_diverged_run_has_results(train: Train) -> None:
    run = train(*DIVERGING)
    assert results(run)["status"] == "diverged"
    assert ("non_finite", "train/loss", "0") in {(e["kind"], e["place"], e["rank"]) for e in events(run)}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_without_finite_predictions_have_no_score_and_are_not_selected(
    train: Train, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    """One bad bias is enough; argmax of NaN would be class 0, whose share may exceed a good score."""

    def spoil(self: FineTuner) -> None:
        if self.current_epoch == epoch:
            self.classifier.head.bias.data[0] = value

    monkeypatch.setattr(FineTuner, "on_train_epoch_start", spoil)
    options = ("callbacks=collapse", "optimizer.lr=1e-12", "scheduler=constant", "force=true")
    epoch = 1
    late = train(*options)
    found = results(late)
    assert found["status"] == "diverged"
    assert found["selected_step"] < found["steps"]  # the end of epoch 0
    assert late.score == found["metrics"]["select/accuracy"] == pytest.approx(0.5, abs=0.3)
    assert found["metrics"]["last/report/accuracy"] is found["metrics"]["last/report/loss"] is None
    assert found["collapsed"]
    assert pd.read_parquet(late.folder / "predictions.parquet").p0.notna().all()
    epoch = 0
    early = train(*options)
    found = results(early)
    assert found["metrics"]["select/accuracy"] is found["metrics"]["report/accuracy"] is None
    assert early.score == -math.inf  # what a sweeper gets: the worst of all scores
    assert found["collapsed_selected"]
    assert pd.read_parquet(early.folder / "predictions.parquet").p0.isna().all()


def test_a_sweeper_that_minimizes_gets_plus_infinity(train: Train) -> None:
    metric = "{mse:{_target_:torchmetrics.MeanSquaredError}}"
    options = ("data.task=regression", f"data.metrics={metric}", "data.monitor=mse", "data.mode=min")
    assert train(*DIVERGING, *options).score == math.inf


def test_a_diverged_run_that_was_interrupted_does_not_train_further(train: Train) -> None:
    from clsnorm.experiment import run as experiment

    whole = results(train(*DIVERGING, "paths.output=whole"))
    with crashing(experiment, "conclude"):
        train(*DIVERGING)
    found = results(train(*DIVERGING))
    assert found["status"] == "diverged"
    assert found["steps"] == whole["steps"] < whole["epochs"] * 100


def test_a_loss_that_diverged_after_the_last_logged_step_is_reported(train: Train) -> None:
    from clsnorm.experiment import run as experiment

    unread = (*DIVERGING, "trainer.max_steps=7", "trainer.log_every_n_steps=100", "checkpoint_every=1")
    expected = events(train(*unread, "paths.output=whole"))  # ends within an epoch
    assert "train/loss" in {event["place"] for event in expected}
    with crashing(experiment, "conclude"):
        train(*unread)
    run = train(*unread)
    assert results(run)["status"] == "diverged"
    assert [event for event in events(run) if event["kind"] != "resumed"] == expected


def test_abort_on_an_event_that_nothing_reports_is_refused(train: Train) -> None:
    with pytest.raises(InputError, match=r"abort_on.*non_finite.*'explosion'"):
        train("callbacks=none", "abort_on=[explosion]")


def test_the_commit_of_a_run_is_that_of_its_start(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from clsnorm.run_folder import provenance

    commits = iter(["at the start", "of an edit since"])
    monkeypatch.setattr(provenance, "commit", lambda: next(commits))
    assert results(train("trainer.max_steps=1", "callbacks=none"))["commit"] == "at the start"


def test_an_undefined_score_is_null(train: Train, caplog: pytest.LogCaptureFixture) -> None:
    lines = ["text\tvalue", *(f"word {row}\t{row % 7}" for row in range(60))]
    constant = ["text\tvalue", *(f"other {row}\t0.5" for row in range(20))]
    Path("a.tsv").write_text("\n".join(lines) + "\n")
    Path("b.tsv").write_text("\n".join(constant) + "\n")
    files = ("data.train=a.tsv", "data.report=b.tsv", "data.text=text", "data.label=value", "data.task=regression")
    found = results(train(*files, "trainer.max_steps=1", "callbacks=none"))
    assert found["metrics"]["report/pearson"] is None
    assert found["metrics"]["report/loss"] > 0
    assert found["majority"] == 0
    assert "null in results.json: " in caplog.text
    assert "report/pearson" in caplog.text


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("paths.output=null", "`paths.output` .*None"),
        ("paths.output=", "`paths.output`"),
        ("abort_on=3", "`abort_on`.*3"),
    ],
)
def test_values_that_are_part_of_a_name_are_checked(train: Train, override: str, words: str) -> None:
    with pytest.raises((InputError, InterpolationResolutionError), match=words):
        train(override)
    assert not Path("runs").exists()


def test_precision_that_a_strategy_cannot_train_in(train: Train) -> None:
    with pytest.raises(InputError, match=r"`trainer.precision` to be one of 32-true, bf16-mixed with trainer=fsdp"):
        train("trainer=fsdp", "trainer.devices=1", "trainer.precision=16-mixed")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainer.strategy=ddq", r"'ddq'\. Did you mean 'ddp'\? "),
        ("trainer.strategy=null", "None"),
        ("++trainer.strategy.x=1", r"'x': 1"),  # a mapping that names no class
        ("trainer.strategy=fsdp", r"'fsdp'.* trainer=fsdp"),  # Lightning's own, torch's first form
        ("trainer.strategy={_target_:pytorch_lightning.strategies.DeepSpeedStrategy}", "DeepSpeedStrategy"),
        ("trainer.strategy={_target_:pytorch_lightning.strategies.ModelParallelStrategy}", "ModelParallelStrategy"),
    ],
)
def test_a_strategy_in_which_numbers_would_not_be_exact(train: Train, override: str, words: str) -> None:
    with pytest.raises(InputError, match=rf"`trainer.strategy` to be one of auto, .*{words}"):
        train(override, "data.train=gone.tsv")  # refused before data are read
    assert not Path("runs").exists()


@pytest.mark.parametrize("strategy", ["ddp", "{_target_:pytorch_lightning.strategies.DDPStrategy}"])
def test_a_strategy_of_whole_parameters_is_admitted(train: Train, strategy: str) -> None:
    with pytest.raises(InputError, match=r"gone\.tsv"):
        train(f"trainer.strategy={strategy}", "data.train=gone.tsv")


def test_a_validation_interval_longer_than_an_epoch_is_refused(train: Train) -> None:
    with pytest.raises(InputError, match=r"val_check_interval to be at most \d+, the batches .* got 1000"):
        train("trainer.val_check_interval=1000")
    assert not Path("runs").exists()


def test_batch_of_one_is_refused_for_batch_statistics(train: Train) -> None:
    with pytest.raises(InputError, match=r"normalizer=batchnorm needs at least 2 .* leave one of 1"):
        train("normalizer=batchnorm", "data.batch_size=16", "data.max_train_examples=33")
    assert not Path("runs").exists()


def test_without_the_last_batch_a_batch_normalizer_trains_on_whole_batches(
    train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    rest = ("data.batch_size=16", "data.max_train_examples=33", "trainer.max_epochs=2", "callbacks=none")
    assert results(train("normalizer=batchnorm", "data.drop_last=true", *rest))["steps"] == 4
    assert "smallest has" not in caplog.text


@pytest.mark.parametrize(
    ("options", "warns"),
    [(["batchnorm", "7"], True), (["batchnorm", "8"], False), (["layernorm", "7"], False)],
)
def test_a_small_last_batch_is_warned_about(
    train: Train, caplog: pytest.LogCaptureFixture, options: list[str], warns: bool
) -> None:
    normalizer, last = options
    train(
        f"normalizer={normalizer}",
        "data.batch_size=16",
        f"data.max_train_examples={16 + int(last)}",
        "trainer.max_epochs=1",
        "callbacks=none",
    )
    assert ("the smallest has 7 examples" in caplog.text) == warns


def test_dropping_every_batch_is_refused(train: Train) -> None:
    with pytest.raises(InputError, match=r"data\.batch_size of at most 8, the training examples, with data\.drop_last"):
        train("data.batch_size=16", "data.max_train_examples=8", "data.drop_last=true")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("normalizer", "size", "warned"), [("isobn", 1, True), ("isobn", 2, False), ("center", 1, False)]
)
def test_a_batch_normalizer_that_can_only_be_the_identity_is_warned_of(
    train: Train, caplog: pytest.LogCaptureFixture, normalizer: str, size: int, warned: bool
) -> None:
    short = ("data.max_train_examples=4", "callbacks=none", "trainer.max_steps=2")
    train(f"normalizer={normalizer}", f"data.batch_size={size}", *short)
    assert ("this run is that of normalizer=identity" in caplog.text) is warned


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        (
            ["normalizer=isobn", "normalizer.warmup_steps=4"],
            "normalizer.warmup_steps=4 batches, but this run has at most",
        ),
        (["normalizer=isobn", "normalizer.warmup_steps=3"], ""),
        (["normalizer=batchrenorm", "normalizer.warmup_steps=20"], "at most 4: it is one of the warm-up alone"),
        (["scheduler.warmup_steps=2"], "this run has 2 steps: the learning rate never reaches optimizer.lr"),
        (["scheduler.warmup_steps=1"], ""),
    ],
)
def test_a_warm_up_as_long_as_the_run_is_warned_of(
    train: Train, caplog: pytest.LogCaptureFixture, options: list[str], warned: str
) -> None:
    train(*options, "callbacks=none", "trainer.max_steps=2", "trainer.accumulate_grad_batches=2")
    assert warned in caplog.text
    assert ("warmup_steps" in caplog.text) is bool(warned)


@pytest.mark.parametrize(("every", "warned"), [(3, True), (2, False)])
def test_a_run_too_short_for_its_logs_is_warned_of(
    train: Train, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder, every: int, warned: bool
) -> None:
    run = train("callbacks=none", "trainer.max_steps=2", f"trainer.log_every_n_steps={every}")
    assert ("no numbers of its training are logged" in caplog.text) is warned
    assert any("train/loss" in row for row in rows(run.folder / "metrics.csv")) is not warned
    assert not [one for one in recwarn if "number of training batches" in str(one.message)]  # Lightning's counts epochs


def test_the_weights_of_every_validation_can_be_kept(train: Callable[..., SimpleNamespace]) -> None:
    folder = train("trainer.max_epochs=2", "trainer.val_check_interval=0.5", "keep_weights=all").folder
    stored = RunFolder(folder).validated_weights()
    assert [*stored] == [4, 8, 12, 16]
    selected = load_run(folder)
    same = load_run(folder, step=selected.results["selected_step"]).classifier.state_dict()
    for name, value in selected.classifier.state_dict().items():
        assert torch.equal(value, same[name]), name
    first, last = (load_run(folder, step=step).classifier.head.weight for step in (min(stored), max(stored)))
    assert not torch.equal(first, last)
    with pytest.raises(InputError, match=rf"\({', '.join(map(str, stored))}\), but got 3"):
        load_run(folder, step=3)


def test_weights_can_be_left_out(train: Callable[..., SimpleNamespace]) -> None:
    whole = train("trainer.max_epochs=1")
    name = whole.folder.name
    selected = whole.folder / "selected.ckpt"
    assert selected.exists()
    small = train("trainer.max_epochs=1", "keep_weights=none", "force=true")
    assert small.folder.name == name
    assert not selected.exists()
    assert train("trainer.max_epochs=1").score == small.score == whole.score
