"""Whole runs of a tiny model in this process: records, seeds, resume."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from omegaconf.errors import InterpolationResolutionError

import clsnorm
from clsnorm.errors import InputError

Train = Callable[..., SimpleNamespace]


def results(run: SimpleNamespace) -> dict[str, Any]:
    return json.loads((run.folder / "results.json").read_text())


def weights(run: SimpleNamespace) -> dict[str, torch.Tensor]:
    return torch.load(run.folder / "selected.ckpt", weights_only=True)["state_dict"]


def test_run_leaves_what_it_promises(train: Train) -> None:
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
    with (run.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = [int(row["step"]) for row in rows]
    assert steps == sorted(steps)
    losses = [float(row["train/loss"]) for row in rows if row["train/loss"]]
    assert len(losses) == found["steps"] // 2
    assert losses[-1] < losses[0]
    select = [float(row["select/accuracy"]) for row in rows if row["select/accuracy"]]
    assert max(select) == pytest.approx(found["metrics"]["select/accuracy"])


def test_same_command_shows_the_finished_run(train: Train, caplog: pytest.LogCaptureFixture) -> None:
    first = train()
    stamp = (first.folder / "results.json").stat().st_mtime_ns
    with caplog.at_level("INFO"):
        again = train()
    assert again.folder == first.folder
    assert again.score == first.score
    assert (first.folder / "results.json").stat().st_mtime_ns == stamp
    assert "finished before: " in caplog.text
    with caplog.at_level("INFO"):
        train("callbacks=none")
    assert "finished before, with another choice of callbacks than is asked now: " in caplog.records[-1].message
    train("force=true")
    assert (first.folder / "results.json").stat().st_mtime_ns != stamp


def test_name_covers_what_changes_the_result_and_nothing_else(train: Train) -> None:
    def folder(*overrides: str) -> str:
        from hydra import compose, initialize_config_dir

        with initialize_config_dir(str(Path(__file__).parents[1] / "conf"), version_base="1.3"):
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


def test_numbers_of_the_selected_weights_are_told_from_those_of_the_last(train: Train) -> None:
    run = train("optimizer.lr=2e-2", "trainer.max_epochs=4")
    found = results(run)
    assert found["selected_step"] < found["steps"]
    with (run.folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["cls/select/h/centred_share"]]
    chosen = max(rows, key=lambda row: float(row["select/accuracy"]))
    key = "cls/select/h/centred_share"
    assert found["metrics"][key] == pytest.approx(float(chosen[key]), rel=1e-6)
    assert found["metrics"][f"last/{key}"] == pytest.approx(float(rows[-1][key]), rel=1e-6)


def test_start_is_not_measured_in_the_middle(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        crash_at(12, patch)
        with pytest.raises(RuntimeError, match="wire"):
            train("checkpoint_every=1", "callbacks=none")
    found = results(train("checkpoint_every=1"))["metrics"]
    assert not [name for name in found if name.startswith("cls/start")]
    assert "cls/select/h/centred_share" in found


def test_memory_is_the_runs_own(train: Train) -> None:
    hoard = bytearray(600 * 2**20)
    hoard[::4096] = b"x" * len(hoard[::4096])
    del hoard
    import resource

    whole_process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    assert results(train("trainer.max_steps=1"))["peak_memory_mb"] < whole_process - 100


def test_load_run_predicts_as_the_run_did(
    train: Train, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train("normalizer=standardize", f"model.path={os.path.relpath(tiny_bert)}")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))  # where the relative path leads nowhere
    loaded = clsnorm.load_run(run.folder)
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


DIVERGING = ("optimizer.lr=1e30", "trainer.gradient_clip_val=null", "scheduler=constant")


def events(run: SimpleNamespace) -> list[dict[str, str]]:
    with (run.folder / "events.csv").open() as file:
        return list(csv.DictReader(file))


def test_diverged_run_is_data(train: Train) -> None:
    run = train(*DIVERGING)
    assert results(run)["status"] == "diverged"
    assert ("non_finite", "train/loss", "0") in {(e["kind"], e["place"], e["rank"]) for e in events(run)}


def test_diverged_run_that_was_interrupted_does_not_train_on(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from clsnorm import experiment

    def interrupted(*arguments: Any) -> None:
        raise RuntimeError("a wire came loose")

    whole = results(train(*DIVERGING, "paths.output=whole"))
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "_conclude", interrupted)
        with pytest.raises(RuntimeError, match="wire"):
            train(*DIVERGING)
    found = results(train(*DIVERGING))
    assert found["status"] == "diverged"
    assert found["steps"] == whole["steps"] < whole["epochs"] * 100


def test_an_event_ends_training_if_asked_to(train: Train) -> None:
    options = ("classifier.init_std=0", "callbacks=collapse", "trainer.val_check_interval=1", "optimizer.lr=1e-12")
    run = train(*options, "abort_on=[majority_collapse]")
    found = results(run)
    assert (found["status"], found["aborted_by"], found["steps"]) == ("aborted", "majority_collapse", 1)
    assert results(train(*options, "trainer.max_steps=3"))["steps"] == 3


def test_an_event_that_nobody_tells_of_is_refused(train: Train) -> None:
    with pytest.raises(InputError, match=r"abort_on.*non_finite.*'explosion'"):
        train("callbacks=none", "abort_on=[explosion]")


def test_a_run_that_answers_all_alike_is_an_event(train: Train) -> None:
    run = train("classifier.init_std=0", "callbacks=collapse", "trainer.max_steps=1")  # warm-up begins at a rate of 0
    found = results(run)
    assert found["metrics"]["predictions/select/largest_share"] == 1.0
    assert found["collapsed"]
    assert found["collapsed_selected"]
    (event,) = events(run)
    assert (event["kind"], event["place"]) == ("majority_collapse", "select/accuracy")
    assert float(event["value"]) == found["metrics"]["select/accuracy"]


def crash_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from clsnorm.model import FineTuner

    original = FineTuner.training_step

    def explode(self: Any, batch: Any, batch_idx: int) -> Any:
        if self.trainer.global_step == step:
            raise RuntimeError("a wire came loose")
        return original(self, batch, batch_idx)

    monkeypatch.setattr(FineTuner, "training_step", explode)


def logged_steps(run: SimpleNamespace) -> list[int]:
    with (run.folder / "metrics.csv").open() as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def test_crash_is_recorded_and_the_same_command_goes_on(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = weights(train("paths.output=whole"))
    with monkeypatch.context() as patch:
        crash_at(12, patch)
        with pytest.raises(RuntimeError, match="wire"):
            train("checkpoint_every=1")
    (folder,) = Path("runs").iterdir()
    assert json.loads((folder / "error.json").read_text())["message"] == "a wire came loose"
    assert not (folder / "results.json").exists()
    resumed = train("checkpoint_every=1")
    assert resumed.folder == folder.absolute()
    assert not (folder / "error.json").exists()
    again = weights(resumed)
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    assert logged_steps(resumed) == sorted(set(logged_steps(resumed)))


def test_no_event_is_lost_or_told_twice_by_a_resume(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    each_validation = ("classifier.init_std=0", "callbacks=collapse", "trainer.val_check_interval=1")
    options = (*each_validation, "optimizer.lr=1e-300", "trainer.max_steps=8", "checkpoint_every=1")  # nothing moves
    run = train(*options, "paths.output=whole")
    with (run.folder / "metrics.csv").open() as file:
        validated = [row["step"] for row in csv.DictReader(file) if row["select/accuracy"]]
    whole = events(run)
    assert [event["step"] for event in whole] == validated == [str(step) for step in range(8)]
    for step in (3, 5):
        with monkeypatch.context() as patch:
            crash_at(step, patch)
            with pytest.raises(RuntimeError, match="wire"):
                train(*options)
    found = events(train(*options))
    assert [event for event in found if event["kind"] != "resumed"] == whole
    assert [event["step"] for event in found if event["kind"] == "resumed"] == ["3", "5"]


@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_kill_between_a_step_and_its_row_loses_no_row(
    train: Train, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    from clsnorm.records import MetricsCsv

    options = ("checkpoint_every=1", "trainer.log_every_n_steps=1", "trainer.max_epochs=1")
    whole = (train(*options, "paths.output=whole").folder / "metrics.csv").read_text()
    original = MetricsCsv.log_metrics

    def killed(self: Any, metrics: dict[str, float], step_: int | None = None, **named: Any) -> None:
        at = named.get("step", step_)
        if at == step and "train/loss" in metrics:
            self.save = lambda: None  # a killed process writes nothing more
            raise SystemError("killed")
        original(self, metrics, at)

    with monkeypatch.context() as patch:
        patch.setattr(MetricsCsv, "log_metrics", killed)
        with pytest.raises(SystemError):
            train(*options)
    assert (train(*options).folder / "metrics.csv").read_text() == whole


def test_crash_before_the_first_resume_point_starts_afresh(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        crash_at(5, patch)
        with pytest.raises(RuntimeError, match="wire"):
            train()
    run = train()
    assert logged_steps(run) == sorted(set(logged_steps(run)))


def test_the_commit_of_a_run_is_that_of_its_start(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from clsnorm.records import provenance

    commits = iter(["at the start", "of an edit since"])
    monkeypatch.setattr(provenance, "commit", lambda: next(commits))
    assert results(train("trainer.max_steps=1", "callbacks=none"))["commit"] == "at the start"


def test_the_commits_at_which_a_run_goes_on_are_told_and_kept(
    train: Train, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from clsnorm.records import provenance

    for number, commit in ((5, "first"), (9, "second"), (13, "second")):
        monkeypatch.setattr(provenance, "commit", lambda commit=commit: commit)
        with monkeypatch.context() as patch:
            crash_at(number, patch)
            with pytest.raises(RuntimeError, match="wire"):
                train("checkpoint_every=2")
    monkeypatch.setattr(provenance, "commit", lambda: "third")
    found = results(train("checkpoint_every=2"))
    assert (found["commit"], found["later_commits"]) == ("first", ["second", "third"])
    assert "began at commit first and goes on at third" in caplog.text


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
def test_what_a_name_is_made_of_is_checked(train: Train, override: str, words: str) -> None:
    with pytest.raises((InputError, InterpolationResolutionError), match=words):
        train(override)
    assert not Path("runs").exists()


def test_precision_that_a_strategy_cannot_train_in(train: Train) -> None:
    with pytest.raises(InputError, match=r"`trainer.precision` to be one of 32-true, bf16-mixed with trainer=fsdp"):
        train("trainer=fsdp", "trainer.devices=1", "trainer.precision=16-mixed")
    assert not Path("runs").exists()


def test_validation_that_never_comes_is_refused(train: Train) -> None:
    with pytest.raises(InputError, match=r"val_check_interval to be at most \d+, the batches .* got 1000"):
        train("trainer.val_check_interval=1000")
    assert not Path("runs").exists()


def test_batch_of_one_is_refused_for_batch_statistics(train: Train) -> None:
    with pytest.raises(InputError, match=r"normalizer=batchnorm needs at least 2 .* leave one of 1"):
        train("normalizer=batchnorm", "data.batch_size=16", "data.max_train_examples=33")
    assert not Path("runs").exists()


def test_changed_file_makes_another_run(train: Train, tiny_data: SimpleNamespace) -> None:
    own = Path("own.tsv").absolute()
    own.write_text(tiny_data.train.read_text())
    short = (f"data.train={own}", "trainer.max_steps=1")
    first = train(*short)
    assert train(*short).folder == first.folder
    own.write_text(own.read_text().replace("\t1\n", "\t0\n", 1))
    assert train(*short).folder != first.folder


@pytest.fixture
def published(train: Train, tiny_overrides: list[str]) -> Train:
    """Runs a published set of which each call first writes the files, with ``word`` in all texts."""

    def run(word: str, *overrides: str) -> SimpleNamespace:
        labels = ("entailment", "contradiction", "neutral")
        rows = [{"premise": f"{word} {i}", "hypothesis": "so", "label": labels[i % 3]} for i in range(48)]
        for name in ("train", "val"):
            path = Path("published", "CB", f"{name}.jsonl")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(map(json.dumps, rows)))
        mine = [override for override in tiny_overrides if not override.startswith("data")]
        options = ("data=cb", "data.rows=null", "data.max_length=16", "data.batch_size=4", "paths.data=published")
        return train(*mine, *options, "paths.output=runs", "checkpoint_every=1", *overrides, tiny=False)

    return run


def test_a_finished_run_on_files_that_changed_since_says_so(published: Train, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        first = published("one", "trainer.max_steps=1")
        published("one", "trainer.max_steps=1")
    assert "finished before" in caplog.text
    assert "changed since" not in caplog.text
    again = published("two", "trainer.max_steps=1")
    assert again.folder == first.folder
    assert "on other rows than data=cb has now: its files changed since" in caplog.records[-1].message


def test_a_stopped_run_does_not_go_on_with_files_that_changed(
    published: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        crash_at(3, patch)
        with pytest.raises(RuntimeError, match="wire"):
            published("one")
    (folder,) = Path("runs").iterdir()
    before = (folder / "metrics.csv").read_text(), (folder / "last.ckpt").read_bytes()
    with pytest.raises(
        InputError, match=r"'cb' \(/.*/published/CB/train.jsonl, .*when this run began, but it changed since"
    ):
        published("two")
    assert ((folder / "metrics.csv").read_text(), (folder / "last.ckpt").read_bytes()) == before
    assert results(published("one"))["status"] == "completed"
    assert results(published("two", "force=true"))["status"] == "completed"
