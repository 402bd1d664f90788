"""Each number of the catalogue against scikit-learn, scipy or numpy on all rows at once."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.metrics import calinski_harabasz_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from clsnorm.errors import InputError
from clsnorm.statistics import CATALOGUE, Snapshot, describe, load, save
from clsnorm.statistics.sampled import partition_isotropy, twonn

N, D, C = 300, 12, 3


def embeddings(n: int = N, d: int = D, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows with a large mean, unequal spreads, correlations, heavy tails and classes."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, C, n)
    mixing = draw.standard_normal((d, d)) / math.sqrt(d) + np.diag(np.linspace(0.2, 3, d))
    rows = draw.standard_t(6, (n, d)) @ mixing + 2 * draw.standard_normal(d) + draw.standard_normal((C, d))[labels]
    return rows, labels


def filled(rows: np.ndarray, labels: np.ndarray, *, cuts: tuple[int, ...] = (), **options: Any) -> Snapshot:
    made = Snapshot(rows.shape[1], num_classes=C, **options)
    for part in np.split(np.arange(len(rows)), cuts):
        made.update(torch.from_numpy(rows[part]), torch.from_numpy(labels[part]), torch.from_numpy(part))
    return made


def by_hand(rows: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The catalogue by other means: from all rows, with libraries or the definition."""
    n, d = rows.shape
    mean, std = rows.mean(0), rows.std(0)
    energy = np.sort((rows**2).mean(0))[::-1]
    variance = rows.var(0)
    covariance = np.cov(rows.T, bias=True)
    values = np.linalg.eigvalsh(covariance)[::-1]
    singular = np.linalg.svd(rows, compute_uv=False)
    norms = np.linalg.norm(rows, axis=1)
    cosines = cosine_similarity(rows)
    off = ~np.eye(n, dtype=bool)
    r = np.corrcoef(rows.T)[np.triu_indices(d, 1)]
    explained = PCA().fit(rows).explained_variance_ratio_
    units = rows / norms[:, None]
    parts = np.sort([(np.outer(u, u)[off]).mean() for u in units.T])[::-1]
    share, singular_share = values / values.sum(), singular / singular.sum()
    root = math.sqrt(d)
    found = {
        "centre/centred_share": (mean**2).sum() / (norms**2).mean(),
        "centre/mean_to_norm": np.linalg.norm(mean) / norms.mean(),
        "centre/sign_constant": (np.abs(mean) > 2 * std).mean(),
        "energy/top_percent": energy[0] / energy.sum(),
        "energy/hoyer": (root - energy.sum() / np.linalg.norm(energy)) / (root - 1),
        "spread/top_5": np.sort(variance)[-5:].sum() / variance.sum(),
        "spread/std_range": std.max() / std.min(),
        "spread/std_variation": stats.variation(std),
        "spread/log_std_range": np.subtract(*np.percentile(np.log(std), [99, 1])),
        "spread/dead": 0.0,
        "correlation/mean_absolute": np.abs(r).mean(),
        "correlation/mean_square": (r**2).mean(),
        "spectrum/participation_ratio": values.sum() ** 2 / (values**2).sum(),
        "spectrum/isoscore": isoscore_as_published(values),
        "spectrum/effective_rank": math.exp(stats.entropy(share)),
        "spectrum/rankme": math.exp(stats.entropy(singular_share)),
        "spectrum/stable_rank": np.linalg.norm(rows - mean) ** 2 / np.linalg.norm(rows - mean, 2) ** 2,
        "spectrum/condition": np.linalg.cond(rows - mean) ** 2,
        "spectrum/condition_uncentred": np.linalg.cond(rows) ** 2,
        "cosine/average": cosines[off].mean(),
        "tails/kurtosis": stats.kurtosis(rows).mean(),
        "tails/kurtosis_max": stats.kurtosis(rows).max(),
        "tails/skewness": np.abs(stats.skew(rows)).mean(),
        "tails/kurtosis_across": stats.kurtosis(rows, axis=1).mean(),
        "outliers/mean": float((np.abs(stats.zscore(mean)) > 3).sum()),
        "outliers/variance": float((variance > 5 * variance.mean()).sum()),
        "norm/mean": norms.mean(),
        "norm/mean_1": np.linalg.norm(rows, 1, axis=1).mean(),
        "norm/variation": stats.variation(norms),
        "isotropy/second_order": second_order_as_published(rows),
        "sample/uniformity": math.log(np.exp(-2 * ((units[:, None] - units) ** 2).sum(-1))[off].mean()),
        "sample/centred_cosine": cosine_similarity(rows - mean)[off].mean(),
        "sample/twonn": twonn_by_regression(rows),
        "classes/calinski_harabasz": calinski_harabasz_score(rows, labels),
        **by_classes(rows, labels, mean, PCA(3).fit(rows).components_),
    }
    found |= {f"energy/top_{k}": energy[:k].sum() / energy.sum() for k in (1, 3, 5, 10)}
    found |= {f"spectrum/explained_{k}": explained[:k].sum() for k in (1, 2, 3, 5, 10)}
    found |= {f"cosine/rogue_{k}": parts[:k].sum() / cosines[off].mean() for k in (1, 2, 3)}
    found |= {f"norm/p{q:02d}": np.percentile(norms, q) for q in (1, 5, 50, 95, 99)}
    return found


def isoscore_as_published(values: np.ndarray) -> float:
    """Steps 3 to 7 of the IsoScore paper, on the principal components' variances."""
    d = len(values)
    normalized = math.sqrt(d) * values / np.linalg.norm(values)
    defect = np.linalg.norm(normalized - 1) / math.sqrt(2 * (d - math.sqrt(d)))
    phi = (d - defect**2 * (d - math.sqrt(d))) ** 2 / d**2
    return (d * phi - 1) / (d - 1)


def second_order_as_published(rows: np.ndarray) -> float:
    singular, pull = np.linalg.svd(rows, compute_uv=False), np.linalg.norm(rows.sum(0))
    return max(0.0, len(rows) - pull + singular[-1] ** 2 / 2) / (len(rows) + pull + singular[0] ** 2 / 2)


def twonn_by_regression(rows: np.ndarray) -> float:
    """As scikit-dimension's TwoNN: a line through the origin, nine tenths of the ratios."""
    distances = NearestNeighbors(n_neighbors=3).fit(rows).kneighbors(rows)[0]
    ratios = np.sort(distances[:, 2] / distances[:, 1])
    kept = int(len(ratios) * 0.9)
    x, y = np.log(ratios[:kept, None]), -np.log(1 - np.arange(1, kept + 1) / len(ratios))
    return float(LinearRegression(fit_intercept=False).fit(x, y).coef_[0])


def by_classes(rows: np.ndarray, labels: np.ndarray, mean: np.ndarray, components: np.ndarray) -> dict[str, float]:
    means = np.stack([rows[labels == c].mean(0) for c in range(C)])
    counts = np.bincount(labels, minlength=C)
    between = sum(k / N * np.outer(m - mean, m - mean) for k, m in zip(counts, means, strict=True))
    within = sum(k / N * np.cov(rows[labels == c].T, bias=True) for c, k in enumerate(counts))
    offsets = means - means.mean(0)
    lengths = np.linalg.norm(offsets, axis=1)
    cosines = cosine_similarity(offsets)[np.triu_indices(C, 1)]
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [((u - v) ** 2).sum() for c in range(C) for u in units[labels == c] for v in units[labels == c]]
    same = sum(k * (k - 1) for k in counts)
    dim = rows.shape[1]
    shrunk = 0.99 * within + 0.01 * np.trace(within) / dim * np.eye(dim)
    return {
        "classes/fisher_ratio": np.trace(between) / np.trace(within),
        "classes/separability": np.trace(np.linalg.inv(shrunk) @ between),
        "classes/nc1": np.trace(within @ np.linalg.pinv(offsets.T @ offsets / C)) / C,
        "classes/nc2_norms": stats.variation(lengths),
        "classes/nc2_angles": np.abs(cosines + 1 / (C - 1)).mean(),
        "classes/along_mean": mean @ between @ mean / (mean @ mean) / np.trace(between),
        "classes/along_first_component": components[0] @ between @ components[0] / np.trace(between),
        "classes/along_3_components": np.trace(components @ between @ components.T) / np.trace(between),
        "classes/along_outliers": np.diag(between)[np.abs(stats.zscore(mean)) > 3].sum() / np.trace(between),
        "classes/alignment": sum(pairs) / same,
    }


def test_every_number_is_that_of_a_reference() -> None:
    rows, labels = embeddings()
    found, expected = describe(filled(rows, labels, cuts=(7, 100))), by_hand(rows, labels)
    missing = {
        "spectrum/participation_ratio_unbiased",
        "spectrum/isoscore_star",
        "spectrum/slope",
        "isotropy/partition",
    }
    assert set(found) - set(expected) == missing  # tested below
    assert len(found) >= 40
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, rel=1e-7, abs=1e-9), name


def test_what_tells_classes_apart_may_lie_in_the_outlier_dimensions() -> None:
    rows, labels = embeddings(d=30)
    rows[:, 7] += 60
    assert np.flatnonzero(np.abs(stats.zscore(rows.mean(0))) > 3).tolist() == [7]
    means = np.stack([rows[labels == c].mean(0) for c in range(C)]) - rows.mean(0)
    between = (np.bincount(labels)[:, None] * means**2).sum(0)
    found = describe(filled(rows, labels))["classes/along_outliers"]
    assert found.value == pytest.approx(between[7] / between.sum(), rel=1e-9)
    assert found.null == pytest.approx(rows.var(0)[7] / rows.var(0).sum(), rel=1e-9)


def test_isoscore_star_and_slope_by_definition() -> None:
    rows, labels = embeddings()
    found = describe(filled(rows, labels))
    covariance = np.cov(rows.T, bias=True)
    shrunk = 0.8 * covariance + 0.2 * np.trace(covariance) / D * np.eye(D)
    assert found["spectrum/isoscore_star"].value == pytest.approx(isoscore_as_published(np.linalg.eigvalsh(shrunk)))
    power = np.diag(np.sqrt(np.arange(1, 41.0) ** -1.7))
    exact = np.concatenate([power, -power]) * math.sqrt(40)
    spectrum = describe(filled(exact, np.arange(80) % C))["spectrum/slope"].value
    assert spectrum == pytest.approx(1.7, rel=1e-6)


def test_unbiased_participation_ratio_has_less_bias() -> None:
    truth = np.linspace(0.5, 2, 30)
    expected = truth.sum() ** 2 / (truth**2).sum()
    draws = [np.random.default_rng(seed).standard_normal((25, 30)) * np.sqrt(truth) for seed in range(200)]
    found = [describe(filled(draw, np.arange(25) % C)) for draw in draws]
    corrected = np.median([f["spectrum/participation_ratio_unbiased"].value for f in found])
    plain = np.median([f["spectrum/participation_ratio"].value for f in found])
    assert abs(corrected - expected) < 0.1 * expected < abs(plain - expected)


def test_partition_isotropy_takes_columns_not_rows() -> None:
    """Public versions iterate the rows of numpy's matrix of eigenvectors."""
    rows, _ = embeddings(60, 5)
    rows = rows / 4
    _, vectors = np.linalg.eigh(rows.T @ rows)
    right = [np.exp(rows @ (sign * vectors[:, i])).sum() for i in range(5) for sign in (1, -1)]
    wrong = [np.exp(rows @ (sign * vectors[i])).sum() for i in range(5) for sign in (1, -1)]
    found = partition_isotropy(torch.from_numpy(rows))
    assert found == pytest.approx(min(right) / max(right), rel=1e-9)
    assert found != pytest.approx(min(wrong) / max(wrong), rel=1e-2)
    assert math.isfinite(partition_isotropy(torch.from_numpy(rows * 1e4)))  # exp(88) is the end of float32


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, N), max_size=4), st.randoms(use_true_random=False))
def test_any_split_and_order_gives_the_same(cuts: list[int], shuffler: Any) -> None:
    rows, labels = embeddings()
    whole = describe(filled(rows, labels, sample=64))
    parts = []
    cut = np.split(np.arange(N), sorted(cuts))
    shuffler.shuffle(cut)
    for part in cut:
        piece = Snapshot(D, num_classes=C, sample=64)
        piece.update(torch.from_numpy(rows[part]), torch.from_numpy(labels[part]), torch.from_numpy(part))
        parts.append(piece)
    merged = Snapshot(D, num_classes=C, sample=64)
    for piece in parts:
        merged.merge(piece)
    for name, value in describe(merged).items():
        assert value.value == pytest.approx(whole[name].value, rel=1e-9, abs=1e-12), name


def test_a_direction_without_variance_makes_no_noise() -> None:
    rows, labels = embeddings()
    flat = rows - rows.mean(1, keepdims=True)  # as behind a layer norm
    whole = describe(filled(flat, labels, sample=64))
    for size in (1, 7):
        for name, value in describe(filled(flat, labels, cuts=tuple(range(size, N, size)), sample=64)).items():
            assert value.value == pytest.approx(whole[name].value, rel=1e-9, abs=1e-12), name


def test_a_dimension_that_never_changes_makes_no_noise() -> None:
    rows, labels = embeddings()
    still = np.concatenate([rows, np.full((N, 1), 0.1)], axis=1)
    for cuts in ((), (7, 50, 113)):
        with_it, without = filled(still, labels, cuts=cuts, sample=64), filled(rows, labels, cuts=cuts, sample=64)
        assert with_it.covariance[-1].count_nonzero() == 0
        found, expected = describe(with_it), describe(without)
        assert math.isinf(found["spread/std_range"].value)
        for name in ("correlation/mean_absolute", "correlation/mean_square", "spectrum/participation_ratio"):
            assert found[name].value == pytest.approx(expected[name].value, rel=1e-9), name


def test_state_goes_round() -> None:
    rows, labels = embeddings()
    first = filled(rows[:100], labels[:100])
    second = Snapshot(D, num_classes=C)
    second.load_state_dict(first.state_dict())
    assert {k: v.value for k, v in describe(second).items()} == {k: v.value for k, v in describe(first).items()}


def test_nulls_are_what_noise_shows() -> None:
    """Averages over draws of an isotropic normal, labels at random: within four standard errors and 2 % of the null.

    The 2 % are the bias of the closed forms at 240 rows of 20 dimensions; most have less.
    """
    draws = []
    for seed in range(60):
        draw = np.random.default_rng(seed)
        draws.append(describe(filled(draw.standard_normal((240, 20)), draw.integers(0, C, 240))))
    for statistic in CATALOGUE:
        null = draws[0][statistic.name].null
        if null is None:
            continue
        found = np.array([values[statistic.name].value for values in draws])
        error = stats.sem(found)
        assert abs(found.mean() - null) <= 4 * error + 0.02 * abs(null), statistic.name


def test_a_null_that_is_not_conditional_is_of_the_number_of_rows_alone() -> None:
    rows, labels = embeddings(d=30)
    rows[:, 7] += 60
    first, other = (describe(filled(x, labels)) for x in (rows, rows * np.linspace(1, 3, 30)))
    for statistic in CATALOGUE:
        if statistic.null:
            same = first[statistic.name].null == other[statistic.name].null
            assert same is not statistic.conditional, statistic.name


def test_nulls_of_classes_are_what_labels_at_random_show_on_these_rows() -> None:
    """Rows that are neither centred nor isotropic; of a share, its parts' averages are what is meant."""
    rows, _ = embeddings(400, 24)
    rows[:, 3] = 4 * rows[:, 3] + 90
    draws = [describe(filled(rows, np.random.default_rng(seed).integers(0, C, len(rows)))) for seed in range(150)]
    for name in draws[0]:
        null = draws[0][name].null
        if not name.startswith("classes/") or null is None:
            continue
        found = np.array([values[name].value for values in draws])
        assert abs(found.mean() - null) <= 4 * stats.sem(found) + 0.03 * abs(null), name
    assert 0.1 < draws[0]["classes/along_outliers"].null < 0.9
    assert draws[0]["classes/alignment"].null < 1  # far from 2: the mean is in all of them


def test_the_same_text_twice_is_no_neighbour() -> None:
    rows, _ = embeddings()
    again = rows[:60] * (1 + 1e-7 * np.random.default_rng(1).standard_normal((60, D)))  # as in another batch
    found = twonn(torch.from_numpy(np.concatenate([rows, again])))
    assert found == pytest.approx(twonn(torch.from_numpy(rows)), rel=1e-5)


def test_a_class_without_rows_has_no_part_in_the_null() -> None:
    rows, labels = embeddings()
    found = describe(filled(rows, labels % 2))["classes/fisher_ratio"]  # of three classes
    assert found.null == pytest.approx(1 / (N - 2))


def test_a_row_that_is_not_finite_makes_every_number_undefined() -> None:
    rows, labels = embeddings()
    rows[3, 2] = math.nan
    snapshot = filled(rows, labels)
    assert snapshot.not_finite == 1
    assert snapshot.count == N - 1
    assert all(math.isnan(value.value) for value in describe(snapshot).values())


@pytest.mark.parametrize("case", ["constant", "zeros", "one_row", "few_rows", "one_dimension"])
def test_degenerate_embeddings_raise_nothing(case: str) -> None:
    rows, labels = embeddings()
    rows, labels = {
        "constant": (np.ones_like(rows), labels),
        "zeros": (np.zeros_like(rows), labels),
        "one_row": (rows[:1], labels[:1]),
        "few_rows": (rows[:4], labels[:4]),
        "one_dimension": (rows[:, :1], labels),
    }[case]
    found = describe(filled(rows, labels))
    assert set(found) == {statistic.name for statistic in CATALOGUE}


def test_what_is_undefined_is_nan_and_rounding_leaves_no_range() -> None:
    rows, labels = embeddings()
    constant = describe(filled(np.full_like(rows, 0.3), labels))
    for name in ("tails/kurtosis_max", "tails/kurtosis_across", "classes/nc1", "classes/nc2_angles"):
        assert math.isnan(constant[name].value), name
    assert constant["spread/dead"].value == D
    assert 0 <= constant["classes/alignment"].value < 1e-9
    assert 1 - 1e-9 < constant["cosine/average"].value <= 1
    half = np.concatenate([rows, np.full_like(rows, 2.0)])  # a row without variance has no kurtosis
    across = describe(filled(half, np.tile(labels, 2)))["tails/kurtosis_across"].value
    assert across == pytest.approx(stats.kurtosis(rows, axis=1).mean(), rel=1e-9)


def test_two_classes_are_always_a_simplex() -> None:
    rows, labels = embeddings()
    found = describe(filled(rows, labels % 2))
    assert math.isnan(found["classes/nc2_norms"].value)
    assert math.isnan(found["classes/nc2_angles"].value)
    assert found["classes/nc1"].value > 0


def test_what_cannot_be_merged_is_refused_before_anything_is() -> None:
    rows, labels = embeddings()
    snapshot = filled(rows, labels)
    before = describe(snapshot)
    with pytest.raises(InputError, match="num_classes"):
        snapshot.merge(Snapshot(D, num_classes=C + 1))
    assert snapshot.count == N
    assert describe(snapshot) == before


@pytest.mark.parametrize("kind", ["garbage", "array", "foreign", "cut", "incomplete"])
def test_a_file_that_is_no_snapshot_is_refused(tmp_path: Path, kind: str) -> None:
    path, whole = tmp_path / "file.npz", tmp_path / "whole.npz"
    save(whole, filled(*embeddings()))
    with np.load(whole) as file:
        part = {name: array for name, array in file.items() if name != "tails/powers"}
    {
        "garbage": lambda: path.write_bytes(b"no archive"),
        "array": lambda: np.save(path.open("wb"), np.ones(3)),
        "foreign": lambda: np.savez(path, other=np.ones(3)),
        "cut": lambda: path.write_bytes(whole.read_bytes()[:200]),
        "incomplete": lambda: np.savez(path, **part),
    }[kind]()
    with pytest.raises(InputError, match=r"file\.npz"):
        load(path)


def test_regression_has_no_classes() -> None:
    rows, _ = embeddings()
    snapshot = Snapshot(D, num_classes=0)
    snapshot.update(torch.from_numpy(rows), torch.rand(N), torch.arange(N))
    assert not [name for name in describe(snapshot) if name.startswith("classes/")]


def test_bad_rows_are_refused() -> None:
    snapshot = Snapshot(D, num_classes=C)
    with pytest.raises(InputError, match="n labels and ids"):
        snapshot.update(torch.zeros(2, D), torch.zeros(3), torch.arange(2))
    with pytest.raises(InputError, match="class ids from 0 to 2"):
        snapshot.update(torch.zeros(2, D), torch.tensor([0, 3]), torch.arange(2))


WORKER = """
import json, sys, torch, numpy as np, torch.distributed as dist
from clsnorm.statistics import Snapshot, describe
from clsnorm.distributed import rank
dist.init_process_group("gloo")
data = np.load(sys.argv[1])
part = np.split(np.arange(len(data["rows"])), [int(sys.argv[2])])[rank()]
snapshot = Snapshot(data["rows"].shape[1], num_classes=3, sample=64)
snapshot.update(*(torch.from_numpy(x) for x in (data["rows"][part], data["labels"][part], part)))
snapshot.all_reduce()
if rank() == 1:
    print(json.dumps({name: value.value for name, value in describe(snapshot).items()}))
dist.destroy_process_group()
"""


@pytest.mark.parametrize("cut", [0, 113])
def test_two_processes_see_what_one_sees(tmp_path: Path, cut: int) -> None:
    rows, labels = embeddings()
    np.savez(tmp_path / "data.npz", rows=rows, labels=labels)
    (tmp_path / "worker.py").write_text(WORKER)
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(tmp_path / "worker.py")]
    done = subprocess.run(
        [sys.executable, *words, str(tmp_path / "data.npz"), str(cut)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for name, value in describe(filled(rows, labels, sample=64)).items():
        assert found[name] == pytest.approx(value.value, rel=1e-9, abs=1e-12), name
