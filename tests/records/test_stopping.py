"""`Abort`, in fits of Lightning's real trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted_fit import At, fit, outputs

from clsnorm.errors import InputError
from clsnorm.records import Abort

STEPS = [outputs()] * 4


def test_only_the_chosen_kinds_stop() -> None:
    abort = Abort(["explosion"], ["explosion", "vanishing"])
    notices = [At(0, lambda _: abort.notice("vanishing")), At(1, lambda _: abort.notice("explosion"))]
    assert fit(STEPS, *notices, abort).global_step == 2
    assert abort.by == "explosion"


@pytest.mark.parametrize("stopped", [False, True])
def test_an_aborted_run_that_was_interrupted_does_not_train_further(tmp_path: Path, stopped: bool) -> None:
    path = tmp_path / "last.ckpt"
    first = Abort(["explosion"], ["explosion"])
    notice, save = At(1, lambda _: first.notice("explosion")), At(1, lambda trainer: trainer.save_checkpoint(path))
    fit(STEPS, notice, *([first, save] if stopped else [save, first]))
    again = Abort(["explosion"], ["explosion"])
    assert fit(STEPS, again, resume=path).global_step == 2
    assert again.by == "explosion"


@pytest.mark.parametrize("batch", [1, 3])
def test_an_event_after_the_end_does_not_count_as_an_abort(batch: int) -> None:
    def stop(trainer: Any) -> None:
        trainer.should_stop = batch == 1  # batch 3 is the last one

    abort = Abort(["explosion"], ["explosion"])
    fit(STEPS, At(batch, stop), At(batch, lambda _: abort.notice("explosion")), abort)
    assert abort.by is None


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"abort_on.*explosion, vanishing.*'explosions'.*Did you mean"):
        Abort(["explosions"], ["explosion", "vanishing"])
