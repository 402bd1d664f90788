"""`Collapse` in whole runs: its event, and the end of training that it may cause."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from runs import crashing_before, events, results

Train = Callable[..., SimpleNamespace]


DIVERGING = ("optimizer.lr=1e30", "trainer.gradient_clip_val=null", "scheduler=constant")


# Weights stay near zero, so that every validation is collapsed.
STILL = ("classifier.init_std=0", "callbacks=collapse", "trainer.val_check_interval=1", "optimizer.lr=1e-12")


ABORTING = (*STILL, "abort_on=[majority_collapse]")


def ending(run: SimpleNamespace) -> tuple[str, str | None, int]:
    found = results(run)
    return found["status"], found["aborted_by"], found["steps"]


def test_a_lasting_collapse_ends_training_on_request(train: Train) -> None:
    run = train(*ABORTING, "trainer.max_steps=6")
    assert ending(run) == ("aborted", "majority_collapse", 3)  # half of the training
    for kind in ("majority_collapse", "failure"):  # all are reported
        assert [int(event["step"]) for event in events(run) if event["kind"] == kind] == [0, 1, 2]
    assert ending(train(*STILL, "trainer.max_steps=6")) == ("completed", None, 6)


def test_an_event_after_the_last_step_does_not_count_as_an_abort(train: Train) -> None:
    run = train(*ABORTING, "trainer.max_steps=2")  # the second collapse lasts, and all steps are taken
    assert ending(run) == ("completed", None, 2)
    assert [event["kind"] for event in events(run)] == ["majority_collapse", "failure"] * 2


def test_a_collapse_after_divergence_does_not_count_as_an_abort(train: Train) -> None:
    run = train(*ABORTING, *DIVERGING, "trainer.max_steps=4")
    assert ending(run) == ("diverged", None, 2)
    assert [event["step"] for event in events(run) if event["kind"] == "majority_collapse"] == ["0", "1"]


def test_an_event_reported_at_the_end_of_training_does_not_count_as_an_abort(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clsnorm.callbacks import Collapse

    def stop(self: Collapse, trainer: Any, *_: Any) -> None:
        trainer.should_stop = True  # as `trainer.max_time` has it

    def report(self: Collapse, *_: Any) -> None:
        self.report(step=0, kind="majority_collapse", place="select/accuracy", value=0.5)

    monkeypatch.setattr(Collapse, "on_train_batch_end", stop, raising=False)
    monkeypatch.setattr(Collapse, "on_train_end", report, raising=False)
    assert ending(train(*ABORTING, "trainer.max_steps=6")) == ("completed", None, 1)


def test_a_collapse_of_one_validation_does_not_end_training(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from clsnorm.callbacks import collapse

    found = iter([True, False, True, False, True, False])
    monkeypatch.setattr(collapse, "has_collapsed", lambda *scores, **options: next(found))
    assert ending(train(*ABORTING, "trainer.max_steps=6")) == ("completed", None, 6)


@pytest.mark.parametrize("kind", ["majority_collapse", "failure"])
def test_the_length_of_a_collapse_survives_an_interruption(train: Train, kind: str) -> None:
    aborting = (*STILL, f"abort_on=[{kind}]", "trainer.max_steps=8")
    with crashing_before(3):
        train(*aborting)
    assert ending(train(*aborting)) == ("aborted", kind, 4)


def test_a_score_near_the_majority_s_is_a_collapse_by_the_old_rule_only(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clsnorm.callbacks import collapse

    monkeypatch.setattr(collapse, "has_collapsed", lambda *scores, **options: True)
    run = train("callbacks=collapse", "classifier.init_std=1", "trainer.val_check_interval=1", "trainer.max_steps=2")
    assert {event["kind"] for event in events(run)} == {"majority_collapse"}
    found = results(run)
    share = found["failure"]["last"]["answer_share"]
    assert found["failed"] == (share >= 0.99)
    assert found["failure"]["last"]["score"] == found["metrics"]["last/report/accuracy"]
    assert found["failure"]["last"]["majority"] == found["majority"]


def test_a_run_with_one_answer_to_all_examples_reports_a_collapse(train: Train) -> None:
    run = train("classifier.init_std=0", "callbacks=collapse", "trainer.max_steps=1")  # warm-up begins at a rate of 0
    found = results(run)
    assert found["metrics"]["predictions/select/largest_share"] == 1.0
    assert found["collapsed"]
    assert found["collapsed_selected"]
    for event, kind in zip(events(run), ("majority_collapse", "failure"), strict=True):
        assert (event["kind"], event["place"]) == (kind, "select/accuracy")
        assert float(event["value"]) == found["metrics"]["select/accuracy"]
    assert found["failed"]
    assert found["failed_selected"]
    assert found["failure"]["selected"]["answer_share"] == 1.0
