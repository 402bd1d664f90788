"""Statistics of a batch on one process, and `RunningAverage`; on several processes: test_ranks.py."""

import pytest
import torch

from clsnorm.errors import InputError
from clsnorm.normalizers.batch_statistics import RunningAverage, global_covariance, global_variance, require_batch

ROWS = 1e3 + torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_mean_variance_and_covariance_equal_those_of_torch() -> None:
    mean, variance, count = global_variance(ROWS)
    _, covariance, _ = global_covariance(ROWS)
    assert count == 40
    torch.testing.assert_close(mean, ROWS.mean(0))
    torch.testing.assert_close(variance, ROWS.var(0, correction=0))
    torch.testing.assert_close(covariance, torch.cov(ROWS.T, correction=0))


def test_a_running_average_is_corrected_for_its_start_at_zero() -> None:
    average = RunningAverage(torch.tensor([7.0]))
    assert average.corrected().tolist() == [7.0]
    seen = [3.0, 5.0, 11.0]
    for value in seen:
        average.update(torch.tensor([value]), 0.1)
    weights = [0.1 * 0.9**age for age in (2, 1, 0)]
    expected = sum(w * value for w, value in zip(weights, seen, strict=True)) / sum(weights)
    assert average.corrected().item() == pytest.approx(expected, rel=1e-6)
    assert list(average.state_dict()) == ["value", "weight_sum"]


def test_a_batch_that_is_too_small_is_refused() -> None:
    require_batch(2, torch.tensor(2.0), 2)
    with pytest.raises(InputError, match=r"a global batch of at least 2 examples .* but got 1"):
        require_batch(1, torch.tensor(1.0), 2)
