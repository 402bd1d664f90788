"""The contract of all normalizers, checked on each YAML file under conf/normalizer."""

import copy
import inspect
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from torch import Tensor, nn

import clsnorm.normalizers
from clsnorm.errors import InputError
from clsnorm.model import fold
from clsnorm.normalizers import Normalizer
from clsnorm.statistics import Accumulator

CONF = Path(__file__).parents[2] / "conf" / "normalizer"
Build = Callable[..., Normalizer]
Rows = Callable[..., Tensor]

DEFAULTS = {
    min(path.stem for path in CONF.glob("*.yaml") if OmegaConf.load(path)["_target_"] == target)
    for target in {OmegaConf.load(path)["_target_"] for path in CONF.glob("*.yaml")}
}


def assert_equal_states(a: nn.Module, b: nn.Module) -> None:
    first, second = a.state_dict(), b.state_dict()
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_yaml_gives_the_defaults_of_keyword_only_options(key: str) -> None:
    """That its keys are the constructor's arguments, and its head, is checked in tests/config/test_conf.py."""
    config = OmegaConf.to_container(OmegaConf.load(CONF / f"{key}.yaml"))
    signature = inspect.signature(get_class(config.pop("_target_")))
    assert config.pop("_partial_") is True
    first, *options = signature.parameters.values()
    assert first.name == "dim"
    assert all(option.kind is option.KEYWORD_ONLY for option in options)
    if key in DEFAULTS:  # other options of the same class may differ
        assert config == {option.name: option.default for option in options}


def test_yaml_names_its_source(key: str) -> None:
    assert "\n# Source: " in (CONF / f"{key}.yaml").read_text()


def test_every_exported_normalizer_has_a_yaml() -> None:
    exported = [getattr(clsnorm.normalizers, name) for name in clsnorm.normalizers.__all__]
    concrete = {c for c in exported if issubclass(c, Normalizer) and not inspect.isabstract(c)}
    assert {get_class(OmegaConf.load(path)["_target_"]) for path in CONF.glob("*.yaml")} == concrete


def test_every_normalizer_is_compared_with_a_reference(key: str) -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_reference*.py"))
    assert f'"{key}"' in tests


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_output_has_the_shape_and_type_of_the_input(key: str, ready: Build, rows: Rows, dtype: torch.dtype) -> None:
    normalizer = ready(key)
    for training in (True, False):
        h = rows(9, dtype=dtype)
        z = normalizer.train(training)(h)
        assert (z.shape, z.dtype) == (h.shape, dtype)
        assert z.isfinite().all()
    assert normalizer(rows(0, dtype=dtype)).shape == (0, 6)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [((16, 128, 6), "Use hidden[:, 0]"), ((6,), "Use h[None]"), ((4, 7), "built for dim=6"), ((1, 1, 1, 6), "dim=6")],
)
def test_a_wrong_shape_is_refused(key: str, ready: Build, shape: tuple[int, ...], hint: str) -> None:
    with pytest.raises(InputError) as error:
        ready(key)(torch.zeros(shape))
    assert str(error.value).startswith(f"Expected embeddings of shape (batch, 6), but got {shape}. ")
    assert hint in str(error.value)
    with pytest.raises(InputError, match=r"floating-point embeddings, but got torch\.int64"):
        ready(key)(torch.zeros(2, 6, dtype=torch.int64))


@pytest.mark.parametrize("dim", [0, -1, 2.0, True])
def test_a_wrong_dim_is_refused(key: str, build: Build, dim: object) -> None:
    with pytest.raises(InputError, match="`dim` to be a whole number of at least 1, but got"):
        build(key, dim)


SIGNED = {
    *((key, "k") for key in ("bias_dose", "center_outliers", "center_others")),
    ("spectrum_matched", "alpha"),
}


def test_wrong_options_are_refused(key: str, build: Build) -> None:
    options = OmegaConf.to_container(OmegaConf.load(CONF / f"{key}.yaml"))
    for name, value in options.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            for wrong in (float("inf") if (key, name) in SIGNED else -1, "much", float("nan")):
                with pytest.raises(InputError, match=f"`{name}`"):
                    build(key, **{name: wrong})
        if isinstance(value, bool) and not name.startswith("_"):
            for wrong in ("maybe", 1):
                with pytest.raises(InputError, match=f"`{name}` to be true or false"):
                    build(key, **{name: wrong})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        *(
            (name, {"eps": 1.1}, "`eps` to be a floor")
            for name in ("standardize", "robust", "zca_whitening", "ln_strip")
        ),
        *((name, {"low": 0.5, "high": 0.5}, "`low` to be below `high`=0.5") for name in ("robust", "clip")),
        ("abtt", {"components": 6}, "a whole number from 0 to 5, but got 6"),
        *(("groupnorm", {"groups": wrong}, r"Give one of \[1, 2, 3\]") for wrong in (0, 4, 6, True, 1.5, "two")),
    ],
)
def test_contradictory_options_are_refused(name: str, options: dict, message: str, build: Build) -> None:
    with pytest.raises(InputError, match=message):
        build(name, **options)


def test_calibration_follows_its_contract(key: str, build: Build, rows: Rows) -> None:
    normalizer = build(key)
    if normalizer.calibration is None:
        with pytest.raises(InputError, match="needs none"):
            normalizer.calibrate(object())
        return
    assert isinstance(normalizer.calibration(6), Accumulator)
    calibrated = build(key, on=rows(64))
    folds = calibrated.as_affine() is not None
    for use in (lambda: normalizer(rows(4)), *([normalizer.as_affine] if folds else [])):
        with pytest.raises(InputError, match="to be calibrated before use"):
            use()
    with pytest.raises(InputError, match=f"Expected {normalizer.calibration.__name__}"):
        normalizer.calibrate(object())
    other = normalizer.calibration(7)
    other.update(rows(4, dim=7))
    with pytest.raises(InputError, match="dimension 6 to calibrate on, but got dimension 7"):
        normalizer.calibrate(other)
    empty = normalizer.calibration(6)
    with pytest.raises(InputError, match="nothing was added"):
        normalizer.calibrate(empty)
    empty.update(rows(4).index_fill(0, torch.tensor([1]), float("nan")))
    with pytest.raises(InputError, match="finite"):
        normalizer.calibrate(empty)
    with pytest.raises(InputError, match="to be calibrated before use"):
        normalizer(rows(4))
    uncalibrated_state = normalizer.state_dict()
    normalizer.load_state_dict(calibrated.state_dict())
    assert torch.equal(normalizer(rows(4)), calibrated(rows(4)))
    normalizer.load_state_dict({name: torch.zeros_like(value) for name, value in uncalibrated_state.items()})
    with pytest.raises(InputError, match="to be calibrated before use"):
        normalizer(rows(4))


def test_staleness_is_how_far_embeddings_have_moved(key: str, build: Build, rows: Rows) -> None:
    normalizer = build(key, on=rows(500))
    if normalizer.calibration is None or normalizer.changes_encoder:  # the latter: see test_reference_calibrated.py
        return

    def staleness(h: Tensor, normalizer: Normalizer = normalizer) -> dict[str, float]:
        accumulator = normalizer.calibration(6)
        accumulator.update(h)
        return normalizer.staleness(accumulator)

    still = staleness(rows(500))
    assert still == pytest.approx({"shift": 0, "stretch": 0} | dict.fromkeys(still, 0), abs=1e-5)
    moved = rows(500) + 2 * normalizer.calibrated_spread  # by two deviations, or interquartile ranges
    assert staleness(moved) == pytest.approx(still | {"shift": 2}, abs=1e-4)
    center = normalizer.calibrated_center
    larger = {"shift": 0, "stretch": math.log(2)} | ({"shape": 3} if "shape" in still else {})
    assert staleness(center + 2 * (rows(500) - center)) == pytest.approx(larger, abs=1e-4)
    nearly_dead = torch.ones(6).index_fill(0, torch.tensor([2]), 1e-30)  # as some encoders have dimensions
    after = staleness(rows(500) * nearly_dead + 1e-3 * (1 - nearly_dead), build(key, on=rows(500) * nearly_dead))
    assert after == pytest.approx(dict.fromkeys(after, 0), abs=1e-4)


def test_changed_correlations_are_seen(build: Build, rows: Rows) -> None:
    h = rows(500, dtype=torch.float64)
    for key, seen in (("standardize", False), ("zca_whitening", True)):
        normalizer = build(key, on=h, dtype=torch.float64)
        moments = normalizer.calibration(6)
        turned = torch.stack([column.roll(37 * i) for i, column in enumerate(h.T)], 1)  # means and spreads as before
        moments.update(turned)
        after = normalizer.staleness(moments)
        assert after["shift"] == pytest.approx(0, abs=1e-5)
        assert after["stretch"] == pytest.approx(0, abs=1e-5)
        assert ("shape" in after) is seen
        expected = torch.linalg.matrix_norm(torch.cov(normalizer(turned).T, correction=0) - torch.eye(6)) / 6**0.5
        assert not seen or after["shape"] == pytest.approx(float(expected), rel=1e-4)


def test_folds_into_a_linear_layer(key: str, ready: Build, rows: Rows) -> None:
    normalizer, head, h = ready(key).eval(), nn.Linear(6, 3), rows(50, seed=3)
    affine = normalizer.as_affine()
    if affine is None:  # then it must not be affine: a midpoint goes elsewhere than the midpoint of the images
        a, b = normalizer(h[:25]), normalizer(h[25:])
        assert not torch.allclose(normalizer((h[:25] + h[25:]) / 2), (a + b) / 2, atol=1e-3)
        with pytest.raises(InputError, match=f"is not: it {normalizer.bends}. Keep"):
            fold(head, normalizer)
        assert normalizer.bends
        return
    matrix, shift = affine
    assert matrix.shape in ((6,), (6, 6))
    assert shift.shape == (6,)
    assert matrix.dtype == shift.dtype == torch.float64
    assert not matrix.requires_grad
    assert not shift.requires_grad
    torch.testing.assert_close(fold(head, normalizer)(h), head(normalizer(h)), rtol=0, atol=1e-5)


OTHER_OPTIONS = [
    *(("abtt", {"components": 3}), ("batchnorm", {"affine": False, "eps": 1e-2}), ("batchrenorm", {"affine": False})),
    *(("dbn", {"group_size": 4, "affine": False}), ("iternorm", {"iterations": 2, "group_size": 4})),
    *(("group_whiten_shuffled", {"seed": 3, "group_size": 4}), ("cholesky_bw", {"group_size": 4})),
    *(("isobn", {"beta": 1.0, "warmup_steps": 0}), ("powernorm", {"affine": False, "warmup_steps": 0})),
    *(("ln_strip", {"eps": 0.5}), ("rotation", {"seed": 3}), ("robust", {"low": 0.1, "high": 0.7})),
    *(("spectrum_matched", {"center": False, "keep_variance": True}), ("standardize", {"eps": 1.0})),
    *(("spectrum_matched", {"alpha": -1.5}), ("bias_dose", {"k": -0.5, "keep_size": True})),
    *(("whiten_cut", {"unit": False, "components": 4}), ("zca_whitening", {"eps": 0.1}), ("soft_zca", {"eps": 2.0})),
]


@pytest.mark.parametrize(("name", "options"), OTHER_OPTIONS)
def test_folds_with_other_options(name: str, options: dict[str, object], ready: Build, rows: Rows) -> None:
    normalizer, head, h = ready(name, **options).eval(), nn.Linear(6, 3), rows(50, seed=3)
    torch.testing.assert_close(fold(head, normalizer)(h), head(normalizer(h)), rtol=0, atol=1e-5)


def test_evaluation_is_independent_of_the_batch(key: str, ready: Build, rows: Rows) -> None:
    normalizer = ready(key).eval()
    before, h = copy.deepcopy(normalizer), rows(12, seed=4)
    together = normalizer(h)
    for index in range(len(h)):
        torch.testing.assert_close(normalizer(h[index : index + 1])[0], together[index], rtol=1e-5, atol=1e-6)
    assert_equal_states(normalizer, before)


def test_mixes_batch_is_declared_truthfully(key: str, build: Build, ready: Build, rows: Rows) -> None:
    h = rows(8, seed=5)
    changed = h.clone()
    changed[1:] = 3 * changed[1:]
    differs = False
    for normalizer in (build(key, on=rows(64)), ready(key)):  # in the first step, and after any warm-up
        first, second = copy.deepcopy(normalizer)(h)[0], copy.deepcopy(normalizer)(changed)[0]
        differs |= not torch.allclose(first, second, rtol=1e-6, atol=1e-6)
    assert differs is normalizer.mixes_batch


def test_mixes_gradients_is_declared_truthfully(key: str, build: Build, ready: Build, rows: Rows) -> None:
    shared = False
    for normalizer in (build(key, on=rows(64)), ready(key)):
        h = rows(8, seed=5).requires_grad_()
        (gradient,) = torch.autograd.grad((normalizer(h)[0] ** 3).sum(), h)  # of the loss of one example
        shared |= float(gradient[1:].abs().max()) > 1e-6
    assert shared is normalizer.mixes_gradients


def test_batches_below_min_batch_size_are_refused(key: str, ready: Build, rows: Rows) -> None:
    normalizer = ready(key)
    before = copy.deepcopy(normalizer)
    for size in range(1, normalizer.min_batch_size):
        with pytest.raises(InputError, match=f"global batch of at least {normalizer.min_batch_size}"):
            normalizer(rows(size))
        assert_equal_states(normalizer, before)
    h = rows(normalizer.min_batch_size).requires_grad_()
    normalizer(h).square().sum().backward()
    assert h.grad.isfinite().all()


def train(normalizer: Normalizer, batches: Iterable[Tensor]) -> list[Tensor]:
    """Takes a step of gradient descent on each batch; returns the outputs and the gradients at ``h``."""
    found = []
    for batch in batches:
        h = batch.clone().requires_grad_()
        z = normalizer.train()(h)
        z.sin().mean().backward()  # bounded: nothing diverges
        found += [z.detach(), h.grad]
        with torch.no_grad():
            for parameter in normalizer.parameters():
                parameter -= 0.1 * parameter.grad
                parameter.grad = None
    return found


@pytest.mark.parametrize("seen", [0, 3, 25], ids=["new", "in the warm-up", "after the warm-up"])
def test_resumes_exactly_from_its_state(key: str, build: Build, rows: Rows, tmp_path: Path, seen: int) -> None:
    batches = [rows(7, seed=50 + number) for number in range(28)]
    normalizer, resumed = build(key, on=rows(64)), build(key)
    train(normalizer, batches[:seen])
    torch.save(normalizer.state_dict(), tmp_path / "state.pt")
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    after, again = ([*train(one, batches[seen:]), one.eval()(batches[0])] for one in (normalizer, resumed))
    assert all(torch.equal(a, b) for a, b in zip(after, again, strict=True))
    assert_equal_states(normalizer, resumed)


def test_autocast_changes_nothing(key: str, ready: Build, rows: Rows) -> None:
    plain = ready(key)
    under, half = copy.deepcopy(plain), copy.deepcopy(plain)
    h = rows(16, seed=6)
    expected = plain(h)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(under(h), expected)
        low = half(h.bfloat16())
    assert_equal_states(under, plain)
    fresh = ready(key)
    assert torch.equal(low, fresh(h.bfloat16().float()).bfloat16())
    assert_equal_states(half, fresh)


def test_casting_the_module_keeps_statistics_in_float32(key: str, ready: Build, rows: Rows) -> None:
    normalizer = ready(key)
    cast = copy.deepcopy(normalizer).to(torch.bfloat16)
    for name, buffer in cast.named_buffers():
        assert torch.equal(buffer, normalizer.get_buffer(name)), name
    assert all(parameter.dtype == torch.bfloat16 for parameter in cast.parameters())
    assert cast(rows(8).bfloat16()).dtype == torch.bfloat16
    assert all(b.dtype in (torch.float64, torch.int64, torch.bool) for b in cast.double().buffers())


DEGENERATE = {
    "fewer rows than dimensions": lambda h: h[:3],
    "duplicated rows": lambda h: h[:2].repeat(4, 1),
    "equal rows": lambda h: h[:1].repeat(8, 1),
    "a constant dimension": lambda h: h.index_fill(1, torch.tensor([2]), 0.1),
    "a zero dimension": lambda h: h.index_fill(1, torch.tensor([2]), 0.0),
    "equal dimensions": lambda h: h[:, :1].repeat(1, h.shape[1]),
    "all zero": torch.zeros_like,
    "one row": lambda h: h[:1],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_data_stay_finite(key: str, build: Build, rows: Rows, case: str, dtype: torch.dtype) -> None:
    data = DEGENERATE[case](rows(8, dtype=dtype))
    normalizer = build(key, on=data).to(dtype)
    batch = data if len(data) >= normalizer.min_batch_size else data.repeat(normalizer.min_batch_size, 1)
    for step in range(23):
        h = (batch if step < 22 else rows(8, seed=1, dtype=dtype)).clone().requires_grad_()
        if step == 21:
            normalizer.eval()
        z = normalizer(h)
        (z**2).sum().backward()
        assert z.isfinite().all()
        assert h.grad.isfinite().all()
        assert all(p.grad.isfinite().all() for p in normalizer.parameters())
    assert all(buffer.isfinite().all() for buffer in normalizer.buffers())


def test_gradient_is_the_derivative(key: str, ready: Build, rows: Rows) -> None:
    normalizer = ready(key, dtype=torch.float64)
    h = rows(5, seed=7, dtype=torch.float64).requires_grad_()
    modes = (True, False) if not normalizer.mixes_batch else (False,)  # those that mix: see test_references.py
    for training in modes:
        normalizer.train(training)
        assert torch.autograd.gradcheck(normalizer, (h,))
        names = [name for name, _ in normalizer.named_parameters()]
        values = tuple(p.detach().clone().requires_grad_() for p in normalizer.parameters())

        def by_parameters(*values: Tensor, names: list[str] = names) -> Tensor:
            return torch.func.functional_call(normalizer, dict(zip(names, values, strict=True)), (h.detach(),))

        assert not values or torch.autograd.gradcheck(by_parameters, values)
