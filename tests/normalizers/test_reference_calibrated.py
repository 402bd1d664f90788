"""Controls and calibrated normalizers against scikit-learn, scipy, or numpy written from the formula another way."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.linalg import cholesky, fractional_matrix_power, inv, sqrtm
from scipy.spatial.distance import pdist
from sklearn.covariance import OAS, LedoitWolf
from sklearn.decomposition import PCA
from sklearn.preprocessing import QuantileTransformer, RobustScaler, StandardScaler
from torch import Tensor, nn

from clsnorm.errors import InputError
from clsnorm.normalizers import Normalizer
from clsnorm.statistics import Moments

Build = Callable[..., Normalizer]
Rows = Callable[..., Tensor]
Agree = Callable[..., None]


@pytest.fixture
def train(rows: Rows, dtype: torch.dtype) -> Tensor:
    return rows(200, dtype=dtype)


@pytest.fixture
def test(rows: Rows, dtype: torch.dtype) -> Tensor:
    return rows(40, seed=1, dtype=dtype)


@pytest.fixture
def normalized(build: Build, train: Tensor, test: Tensor) -> Callable[..., Tensor]:
    """Returns ``test`` normalized by the normalizer of a key that was calibrated on ``train``."""
    return lambda key, **options: build(key, on=train, dtype=train.dtype, **options)(test)


def wide(h: Tensor) -> np.ndarray:
    return h.double().numpy().copy()


def covariance(h: Tensor) -> np.ndarray:
    return np.cov(wide(h).T, bias=True)


def centred(h: Tensor, train: Tensor) -> np.ndarray:
    return wide(h) - wide(train).mean(0)


def test_reference_of_identity(normalized: Callable[..., Tensor], test: Tensor, agree: Agree) -> None:
    agree(normalized("identity"), wide(test))


def test_reference_of_scale(normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree) -> None:
    """`Scale` against numpy."""
    agree(normalized("scale"), wide(test) * np.sqrt(6 / (np.linalg.norm(wide(train), axis=1) ** 2).mean()))


def test_a_learned_scale_starts_as_the_other_and_folds(
    build: Build, train: Tensor, test: Tensor, dtype: torch.dtype
) -> None:
    fixed, own = (build("scale", on=train, dtype=dtype, learned=learned) for learned in (False, True))
    torch.testing.assert_close(own(test), fixed(test), rtol=0, atol=0)
    own(test).sum().backward()
    assert float(own.weight.grad) == pytest.approx(float(fixed(test).sum()))
    with torch.no_grad():
        own.weight.fill_(-3)
    matrix, shift = own.as_affine()
    torch.testing.assert_close(own(test).double(), test.double() * matrix + shift)
    torch.testing.assert_close(own(test), -3 * fixed(test))
    assert own.largest_gain(test).item() == pytest.approx(float(matrix.abs().max()))


def test_reference_of_rotation(normalized: Callable[..., Tensor], test: Tensor, agree: Agree) -> None:
    # A map keeps all distances, also from the origin, exactly if it is orthogonal.
    z = np.vstack([normalized("rotation"), np.zeros(6)])
    agree(pdist(z), pdist(np.vstack([wide(test), np.zeros(6)])), tolerance=FLOAT32)
    assert not np.allclose(z[:-1], test, atol=0.1)
    assert not torch.equal(normalized("rotation"), normalized("rotation", seed=1))


@pytest.mark.parametrize("alpha", [-2.0, -0.5, 0.0, 0.3, 1.0])
def test_reference_of_spectrum_matched(
    alpha: float, normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree
) -> None:
    """`SpectrumMatched` against scipy's matrix power."""
    matrix = np.real(fractional_matrix_power(covariance(train), -alpha / 2))
    agree(normalized("spectrum_matched", alpha=alpha), centred(test, train) @ matrix)
    agree(normalized("spectrum_matched", alpha=alpha, center=False), wide(test) @ matrix)


def test_spectrum_matched_preserves_the_total_variance(build: Build, train: Tensor) -> None:
    for alpha in (-2.0, -0.4, 0.0, 0.4, 1.0):
        z = build("spectrum_matched", on=train, dtype=train.dtype, alpha=alpha, keep_variance=True)(train)
        assert np.trace(covariance(z)) == pytest.approx(np.trace(covariance(train)), rel=1e-4)


def test_a_dose_below_zero_is_less_isotropic_and_its_condition_is_bounded(build: Build, rows: Rows) -> None:
    few = rows(4, dtype=torch.float64)  # rank three, so that the floor of the eigenvalues is reached
    ratios = []
    for alpha in (1.0, 0.5, 0.0, -0.5, -1.0, -2.0):
        matrix = build("spectrum_matched", on=few, alpha=alpha, eps=1e-4).as_affine()[0].numpy()
        assert np.linalg.cond(matrix) == pytest.approx(1e-4 ** (-abs(alpha) / 2), rel=1e-3)
        eigenvalues = np.linalg.eigvalsh(matrix @ covariance(rows(200)) @ matrix.T)
        ratios.append(np.sum(eigenvalues) ** 2 / np.sum(eigenvalues**2))
    assert ratios[2:] == sorted(ratios[2:], reverse=True)
    for wrong in (-2.1, 1.1):
        with pytest.raises(InputError, match="`alpha`"):
            build("spectrum_matched", alpha=wrong)


def test_reference_of_center(normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree) -> None:
    agree(normalized("center"), StandardScaler(with_std=False).fit(wide(train)).transform(wide(test)))


def test_reference_of_standardize(normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree) -> None:
    agree(normalized("standardize"), StandardScaler().fit(wide(train)).transform(wide(test)))


def test_reference_of_robust(normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree) -> None:
    """`Robust` against scikit-learn's `RobustScaler`."""
    agree(normalized("robust"), RobustScaler().fit(wide(train)).transform(wide(test)), tolerance=FLOAT32)
    reference = RobustScaler(quantile_range=(10, 80)).fit(wide(train))
    agree(normalized("robust", low=0.1, high=0.8), reference.transform(wide(test)), tolerance=FLOAT32)


def test_reference_of_outlier_zero(build: Build, rows: Rows, dtype: torch.dtype, agree: Agree) -> None:
    """`OutlierZero` sets the planted outlier dimensions to zero."""
    h = rows(300, dim=40, dtype=dtype)
    h[:, 7] += 40
    h[:, 11] *= 30
    x = wide(h)
    far = [i for i in range(40) if abs(x.mean(0)[i] - x.mean()) > 3 * np.std(x.mean(0))]
    large = [i for i in range(40) if x[:, i].var() > 5 * np.mean(x.var(0))]
    assert (far, large) == ([7], [11])
    x[:, far + large] = 0
    agree(build("outlier_zero", 40, on=h, dtype=dtype)(h), x)


def test_outlier_zero_takes_the_standard_deviation_of_all_means(build: Build) -> None:
    # Of 11 means, one of which differs, that one is sqrt(10) = 3.16 deviations off; with divisor 10 it would be 3.02.
    h = torch.tensor([[-1.0], [1.0]]) + 5 * torch.eye(11)[4]
    assert build("outlier_zero", 11, on=h, mean_deviations=3.1)(h)[:, 4].tolist() == [0, 0]
    assert torch.equal(build("outlier_zero", 11, on=h, mean_deviations=3.2)(h), h)
    named = build("outlier_zero", 11, on=h, dims=[7, 0])(h)
    assert torch.equal(named[:, [0, 7]], torch.zeros(2, 2))
    assert torch.equal(named[:, 1:7], h[:, 1:7])
    assert torch.equal(build("outlier_zero", 11, on=h, dims=[])(h), h)


@pytest.mark.parametrize("dims", [[6], [-1], [1, 1], [True], [0.5]])
def test_outlier_zero_refuses_dimensions_that_do_not_exist(build: Build, dims: list[int]) -> None:
    with pytest.raises(InputError, match=r"`dims`.*but got"):
        build("outlier_zero", dims=dims)


def test_reference_of_ln_strip(build: Build, rows: Rows, dtype: torch.dtype, agree: Agree) -> None:
    """`LayerNormStrip` gives back what a layer norm's scale and bias were applied to."""
    norm = nn.LayerNorm(6).to(dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.8, -0.5, 2.0, 0.01, 1.0, 0.9]))
        norm.bias.copy_(torch.linspace(-1, 1, 6))
    normalizer = build("ln_strip", dtype=dtype)
    normalizer.take_encoder_norm(norm)
    before = rows(30, dtype=dtype)
    agree(normalizer(norm(before)), F.layer_norm(before.double(), (6,)), tolerance=1e-4)


def refit(build: Build, train: Tensor, dtype: torch.dtype) -> tuple[Normalizer, nn.LayerNorm, nn.LayerNorm]:
    """Returns a calibrated `LayerNormRefit`, the layer norm that it changed, and that norm as it was."""
    norm = nn.LayerNorm(6).to(dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.8, -0.5, 2.0, 0.1, 1.0, 1e-9]))
        norm.bias.copy_(torch.linspace(-1, 1, 6))
    before = copy.deepcopy(norm)
    normalizer = build("ln_refit", dtype=dtype)
    normalizer.take_encoder_norm(norm)
    moments = Moments(6)
    moments.update(norm(train).detach())
    normalizer.calibrate(moments)
    return normalizer, norm, before


def test_reference_of_ln_refit(build: Build, train: Tensor, test: Tensor, dtype: torch.dtype, agree: Agree) -> None:
    """`LayerNormRefit` changes the norm so that its outputs are standardized, but for a dead dimension."""
    normalizer, norm, before = refit(build, train, dtype)
    old, fresh = wide(before(train).detach()), wide(before(test).detach())
    scale = old.std(0)
    scale[5] = 1
    z = normalizer(norm(test)).detach()
    agree(z, (fresh - old.mean(0)) / scale)
    assert normalizer.details()["dead_dimensions"] == [5]
    agree(normalizer.original(z), fresh)
    matrix, shift = normalizer.start_affine()
    agree(z, fresh * matrix.numpy() + shift.numpy())
    assert normalizer(z) is z or torch.equal(normalizer(z), z)
    moments = Moments(6)
    moments.update(norm(train).detach())
    assert normalizer.staleness(moments) == pytest.approx({"shift": 0, "stretch": 0}, abs=1e-4)


def test_ln_refit_leaves_trainable_parameters_and_is_calibrated_once(build: Build, train: Tensor) -> None:
    normalizer, norm, _ = refit(build, train.float(), torch.float32)
    normalizer(norm(train.float())).square().sum().backward()
    assert float(norm.weight.grad.abs().max()) > 0
    assert not list(normalizer.parameters())
    moments = Moments(6)
    moments.update(norm(train.float()).detach())
    values = norm.weight.detach().clone()
    with pytest.raises(InputError, match="one calibration of normalizer=ln_refit"):
        normalizer.calibrate(moments)
    assert torch.equal(norm.weight, values)
    for wrong in (None, nn.LayerNorm(7), nn.LayerNorm(6, bias=False)):
        with pytest.raises(InputError, match="normalizer=ln_refit"):
            build("ln_refit").take_encoder_norm(wrong)


def test_reference_of_pca_whiten(normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree) -> None:
    reference = PCA(whiten=True, svd_solver="full").fit(wide(train))
    agree(normalized("pca_whiten"), reference.transform(wide(test)) * np.sqrt(200 / 199))  # sklearn divides by n - 1


def test_reference_of_zca_whitening(
    normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree
) -> None:
    agree(normalized("zca_whitening"), centred(test, train) @ np.real(inv(sqrtm(covariance(train)))))


def test_reference_of_zca_cor(normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree) -> None:
    """`ZCACorrelation` against scipy."""
    root = np.real(fractional_matrix_power(np.corrcoef(wide(train).T), -0.5))
    agree(normalized("zca_cor"), StandardScaler().fit(wide(train)).transform(wide(test)) @ root)


def test_reference_of_pca_cor(normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree) -> None:
    """`PCACorrelation` against scikit-learn's `PCA` of standardized rows."""
    scaler = StandardScaler().fit(wide(train))
    reference = PCA(whiten=True, svd_solver="full").fit(scaler.transform(wide(train)))
    agree(normalized("pca_cor"), reference.transform(scaler.transform(wide(test))) * np.sqrt(200 / 199))


def test_reference_of_cholesky_whiten(
    normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree
) -> None:
    """`CholeskyWhitening` against scipy's Cholesky factor."""
    upper = cholesky(inv(covariance(train)), lower=False)
    agree(normalized("cholesky_whiten"), centred(test, train) @ upper.T)


def test_reference_of_soft_zca(normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree) -> None:
    """`SoftZCA` against its formula by a singular value decomposition."""
    _, singular, axes = np.linalg.svd(centred(train, train) / np.sqrt(200))
    matrix = axes.T @ np.diag((singular**2 + 0.1 * np.mean(singular**2)) ** -0.5) @ axes
    agree(normalized("soft_zca"), centred(test, train) @ matrix)
    agree(normalized("soft_zca", eps=1e-12), normalized("zca_whitening"))


@pytest.mark.parametrize("count", [4, 200])
@pytest.mark.parametrize(("name", "estimator"), [("shrink_whiten", LedoitWolf), ("shrink_whiten_oas", OAS)])
def test_shrinkage_equals_sklearn(
    name: str, estimator: type, count: int, build: Build, train: Tensor, test: Tensor, agree: Agree
) -> None:
    """`OASWhitening` and `LedoitWolfWhitening` against scikit-learn's estimators."""
    reference = estimator().fit(wide(train[:count]))
    assert 0 < reference.shrinkage_ <= 1
    matrix = np.real(fractional_matrix_power(reference.covariance_, -0.5))
    agree(build(name, on=train[:count], dtype=train.dtype)(test), centred(test, train[:count]) @ matrix)


def test_reference_of_abtt(normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree) -> None:
    for components in (1, 3):
        reference = PCA(components, svd_solver="full").fit(wide(train))
        rest = wide(test) - reference.inverse_transform(reference.transform(wide(test)))
        agree(normalized("abtt", components=components), rest)


def test_reference_of_whiten_cut(normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree) -> None:
    # BERT-whitening's kernel; compared are inner products, which do not depend on signs and dropped coordinates.
    axes, eigenvalues, _ = np.linalg.svd(np.cov(wide(train).T))
    z = centred(test, train) @ (axes / np.sqrt(eigenvalues))[:, :2]
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    own = normalized("whiten_cut", components=2)
    agree(own @ own.T, z @ z.T)
    assert float(own[:, 2:].abs().max()) == 0


def test_reference_of_clip(normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree) -> None:
    low, high = np.quantile(wide(train), [0.1, 0.8], axis=0)
    z = normalized("clip", low=0.1, high=0.8)
    agree(z, torch.clamp(test.double(), torch.tensor(low), torch.tensor(high)), tolerance=FLOAT32)
    assert not torch.equal(z, test)


@pytest.mark.parametrize("points", [50, 200])
def test_reference_of_quantile(
    points: int, normalized: Callable[..., Tensor], train: Tensor, test: Tensor, agree: Agree
) -> None:
    reference = QuantileTransformer(n_quantiles=points, output_distribution="normal", subsample=None)
    expected = reference.fit(wide(train)).transform(wide(test))
    # Rounding to float32 alone moves the share of an embedding, and the tails enlarge that.
    tolerance = FLOAT32 if test.dtype == torch.float64 else 2e-4
    inside = np.abs(expected) < 3
    own = normalized("quantile", points=points, tail=1e-7)
    agree(own[torch.tensor(inside)], expected[inside], tolerance=tolerance)
    assert inside.mean() > 0.9
    agree(own.sign(), np.sign(expected))


def test_quantile_takes_the_middle_of_a_jump(build: Build) -> None:
    column = torch.tensor([0.0, 1.0, 1.0, 1.0, 2.0], dtype=torch.float64)[:, None]
    normalizer = build("quantile", 1, on=column, dtype=torch.float64, points=5)
    reference = QuantileTransformer(n_quantiles=5, output_distribution="normal", subsample=None).fit(column.numpy())
    h = torch.tensor([[0.5], [1.0], [1.5]], dtype=torch.float64)
    np.testing.assert_allclose(normalizer(h), reference.transform(h.numpy()), atol=1e-9)


# The sketch of quantiles and a random rotation are stored in float32.
FLOAT32 = 2e-6
WHITENINGS = ["zca_whitening", "pca_whiten", "zca_cor", "pca_cor", "cholesky_whiten"]


@pytest.mark.parametrize("name", WHITENINGS)
def test_whitenings_whiten(name: str, build: Build, rows: Rows) -> None:
    train = rows(300, dtype=torch.float64)
    z = build(name, on=train, dtype=torch.float64)(train)
    np.testing.assert_allclose(covariance(z), np.eye(6), atol=1e-9)


def test_zca_stays_closest_and_zca_cor_most_correlated(build: Build, rows: Rows) -> None:
    train = rows(300, dtype=torch.float64)
    x = centred(train, train)
    distances, correlations = {}, {}
    for key in WHITENINGS:
        z = build(key, on=train, dtype=torch.float64)(train).numpy()
        distances[key] = ((z - x) ** 2).mean()
        correlations[key] = np.mean([np.corrcoef(z[:, i], x[:, i])[0, 1] for i in range(6)])
    assert min(distances, key=distances.__getitem__) == "zca_whitening"
    assert max(correlations, key=correlations.__getitem__) == "zca_cor"
