"""Learning-rate schedules against those of transformers."""

import io
import math

import pytest
import torch
from torch import nn

from clsnorm.errors import InputError
from clsnorm.optim import Constant, Cosine, Linear
from clsnorm.optim.schedules import WarmUp


def trace(scheduler, steps):
    values = []
    for _ in range(steps):
        values.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return values


def sgd(lr=0.3):
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)


@pytest.mark.parametrize(("total", "ratio"), [(100, 0.1), (37, 0.1), (7, 0.0), (3, 1.0), (1, 0.1)])
def test_schedules_equal_those_of_transformers(total, ratio):
    import transformers

    warm = math.ceil(total * ratio)
    for ours, theirs in (
        (Linear, transformers.get_linear_schedule_with_warmup),
        (Cosine, transformers.get_cosine_schedule_with_warmup),
    ):
        mine = trace(ours(sgd(), num_training_steps=total, warmup_ratio=ratio), total)
        assert mine == pytest.approx(trace(theirs(sgd(), warm, total), total), rel=1e-12, abs=1e-15)
    constant = trace(Constant(sgd(), num_training_steps=total, warmup_ratio=ratio), total)
    assert constant == pytest.approx(trace(transformers.get_constant_schedule_with_warmup(sgd(), warm), total))


def test_schedule_state_is_plain_and_resumes():
    whole = trace(Linear(sgd(), num_training_steps=20, warmup_steps=3), 20)
    first = Linear(sgd(), num_training_steps=20, warmup_steps=3)
    start = trace(first, 8)
    buffer = io.BytesIO()
    torch.save({"s": first.state_dict(), "o": first.optimizer.state_dict()}, buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    second = Linear(sgd(), num_training_steps=20, warmup_steps=3)
    second.optimizer.load_state_dict(state["o"])
    second.load_state_dict(state["s"])
    assert start + trace(second, 12) == whole


def test_schedule_options_out_of_range_are_refused():
    for options, message in (
        ({"num_training_steps": 10, "warmup_ratio": 1.5}, r"scheduler\.warmup_ratio"),
        ({"num_training_steps": 10, "warmup_steps": -1}, r"scheduler\.warmup_steps"),
        ({"num_training_steps": math.inf}, r"trainer\.max_steps"),
    ):
        with pytest.raises(InputError, match=message):
            Linear(sgd(), **options)


def test_a_new_schedule_only_writes_its_shape():
    class Quadratic(WarmUp):
        def shape(self, progress):
            return (1 - progress) ** 2

    schedule = Quadratic(sgd(lr=1.0), num_training_steps=6, warmup_steps=2)
    assert trace(schedule, 6) == pytest.approx([0.0, 0.5, 1.0, 0.75**2, 0.5**2, 0.25**2])
