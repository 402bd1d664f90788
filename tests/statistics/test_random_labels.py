"""Labels at random: permutations, their normal limit, and the numbers of classes under them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rows import C, embeddings, filled
from scipy import stats

from clsnorm.statistics import CATALOGUE, Snapshot, describe
from clsnorm.statistics.catalogue import evaluate
from clsnorm.statistics.noise_draws import generator
from clsnorm.statistics.random_labels import LABELLINGS, RandomLabels

CLASSES = [statistic for statistic in CATALOGUE if statistic.family == "classes"]


def heavy(n: int = 300, d: int = 12) -> np.ndarray:
    """Rows with heavy tails, unequal spreads and a large mean in all and in one dimension."""
    draw = np.random.default_rng(5)
    rows = draw.standard_t(3, (n, d)) * np.exp(draw.standard_normal(d)) + 5 * draw.standard_normal(d)
    rows[:, 2] += 60
    return rows


def test_permuted_labels_keep_the_sizes_and_are_seeded_by_them() -> None:
    rows, labels = embeddings(80, 6)
    s = filled(rows, labels)
    found = RandomLabels(s)
    assert found.offsets.shape == (LABELLINGS, C, 6)
    places = generator(6, 80, C).permutation(80)  # of the first labelling
    blocks = np.split(s.sample.rows.numpy()[places], np.cumsum(np.bincount(labels))[:-1])
    means = np.stack([block.mean(0) for block in blocks])
    np.testing.assert_allclose(found.offsets[0].numpy(), means - rows.mean(0), atol=1e-12)
    units = [(block / np.linalg.norm(block, axis=1)[:, None]).sum(0) for block in blocks]
    np.testing.assert_allclose(found.units[0].numpy(), np.stack(units), atol=1e-12)


def test_numbers_of_many_labellings_are_those_of_the_catalogue() -> None:
    """The observed labels as the only labelling."""
    rows, labels = embeddings(200, 20)
    rows[:, 2] += 60
    s = filled(rows, labels)
    s.random_labels.offsets = s.between.offsets[None]
    s.random_labels.units = s.classes.sums["unit"][None]
    s.random_labels.direct = s.classes.sums["direct"][None]
    for statistic in CLASSES:
        found = statistic.spread(s)
        assert found is not None
        assert found.mean() == pytest.approx(statistic.value(s), rel=1e-9), statistic.name


def test_more_rows_than_the_sample_have_the_spread_of_permutations() -> None:
    rows = heavy(800)
    labels = np.repeat(np.arange(C), (500, 200, 100))
    whole, part = filled(rows, labels), filled(rows, labels, sample=300)
    for statistic in CLASSES:
        if statistic.name in ("classes/along_outliers", "classes/alignment"):
            continue
        permuted, limit = (statistic.spread(s) for s in (whole, part))
        assert stats.ks_2samp(permuted._values, limit._values).pvalue > 1e-3, statistic.name
        assert permuted._values.std() == pytest.approx(limit._values.std(), rel=0.2), statistic.name
    permuted, limit = (describe(s, intervals=True)["classes/alignment"] for s in (whole, part))  # units of the sample
    assert limit.high - limit.low == pytest.approx(permuted.high - permuted.low, rel=0.3)


def test_intervals_hold_95_percent_of_random_labels() -> None:
    rows, outside, draws = heavy(), dict.fromkeys((s.name for s in CLASSES), 0), 100
    for seed in range(draws):
        s = filled(rows, np.random.default_rng(seed).integers(0, C, len(rows)))
        for statistic in CLASSES:
            outside[statistic.name] += evaluate(statistic, s, intervals=True).verdict != "within"
    assert outside.pop("classes/along_outliers") <= 10  # a single dimension
    for name, number in outside.items():
        assert stats.binomtest(number, draws, 0.05).pvalue > 1e-3, name


def test_classes_that_lie_apart_are_above() -> None:
    rows, labels = embeddings()
    found = describe(filled(rows, labels), intervals=True)
    for name in ("classes/fisher_ratio", "classes/calinski_harabasz", "classes/separability"):
        assert found[name].verdict == "above"
        assert found[name].p_above == 1 / (LABELLINGS + 1)
    assert found["classes/alignment"].verdict == found["classes/nc1"].verdict == "below"
    assert found["classes/nc1"].p_below == 1 / (LABELLINGS + 1)


def test_intervals_do_not_depend_on_batches_or_merging() -> None:
    rows, labels = embeddings()
    whole = filled(rows, labels)
    parts = [Snapshot(rows.shape[1], num_classes=C) for _ in range(2)]
    for k in reversed(range(len(rows))):
        row = np.arange(k, k + 1)
        parts[k % 2].update(*map(torch.from_numpy, (rows[row], labels[row], row)))
    parts[0].merge(parts[1])
    expected = describe(whole, intervals=True)
    for name, value in describe(parts[0], intervals=True).items():
        for part in ("low", "high", "p_below", "p_above"):
            found, same = getattr(value, part), getattr(expected[name], part)
            assert found == (same if same is None else pytest.approx(same, rel=1e-9, abs=1e-12)), (name, part)


def test_one_row_a_class_or_equal_rows_have_no_interval() -> None:
    rows, labels = embeddings()
    for s in (filled(np.ones_like(rows), labels), filled(rows[:C], np.arange(C))):
        found = describe(s, intervals=True)
        assert {found[statistic.name].low for statistic in CLASSES} == {None}
