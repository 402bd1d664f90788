"""What normalizers cost, and how exact they are.

    python benchmarks/normalizers.py cost 384 768 1024
    python benchmarks/normalizers.py cost 768 --device cuda
    python benchmarks/normalizers.py stress
    python benchmarks/normalizers.py embedded

``cost``: time of forward and backward for 32 embeddings on one thread, alternating with the identity (median of the
paired differences), and its share of one encoder step. The encoder is a randomly initialized BERT of that width (6, 12
or 24 layers) on 64 tokens per example, timed before and after the normalizers; the faster time counts.

``stress``: largest error of a training step (the 25th if there are running statistics), relative to the largest value,
compared with the same class calibrated and run in float64 on the same input; and where it occurs, over data with
condition numbers 1e0 to 1e12 and n/d from 0.1 to 100. The column of a half type includes its own rounding, 4e-3.

``embedded``: on the [CLS] of the quick start's 1,000 training examples before training, the largest change of a logit
by folding, and the head's first step as a geometric mean over batches of 32. A normalizer with running statistics has
been trained on these batches once.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from composed import resolved
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor
from transformers import BertConfig, BertModel

from clsnorm.experiment.assembly import build as build_run
from clsnorm.model import fold
from clsnorm.normalizers import Normalizer
from clsnorm.run_folder import RunFolder

CONF = Path(__file__).parents[1] / "conf" / "normalizer"
KEYS = sorted(path.stem for path in CONF.glob("*.yaml"))
ENCODERS = {384: (6, 12), 768: (12, 12), 1024: (24, 16)}  # dimension: layers, heads
LIMITS = ("1 %", "5 %")  # of the encoder's step, for the column "within"
WARMUP = 25  # steps after which all running statistics are in use
CONDITIONS, RATIOS, DIM = (1e0, 1e3, 1e6, 1e9, 1e12), (0.1, 1.0, 10.0, 100.0), 64


def build(
    key: str, dim: int, rows: Tensor, dtype: torch.dtype = torch.float32, *, norm: torch.nn.LayerNorm | None = None
) -> Normalizer:
    normalizer: Normalizer = instantiate(OmegaConf.load(CONF / f"{key}.yaml"), _convert_="all")(dim)
    normalizer.to(dtype)
    normalizer.take_encoder_norm(norm or encoder_norm(dim))
    if normalizer.calibration is not None:
        accumulator = normalizer.calibration(dim)
        accumulator.update(rows)
        normalizer.calibrate(accumulator)
    return normalizer


def encoder_norm(dim: int) -> torch.nn.LayerNorm:
    norm = torch.nn.LayerNorm(dim)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.1, 2, dim))
        norm.bias.copy_(torch.linspace(-1, 1, dim))
    return norm


def seconds(step: Callable[[], None]) -> float:
    started = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def step_of(normalizer: Normalizer, h: Tensor) -> Callable[[], None]:
    weights = torch.randn_like(h)

    def step() -> None:
        x = h.clone().requires_grad_()
        (normalizer(x) * weights).sum().backward()

    return step


def encoder_step(dim: int, device: str) -> Callable[[], None]:
    layers, heads = ENCODERS[dim]
    config = BertConfig(hidden_size=dim, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * dim)
    model = BertModel(config, add_pooling_layer=False).to(device)
    tokens = torch.randint(1000, (32, 64), device=device)
    return lambda: model(tokens).last_hidden_state[:, 0].sum().backward()


def cost(dims: list[int], device: str, repeats: int = 15) -> None:
    spent: dict[str, list[float]] = {key: [] for key in KEYS}
    encoders = []
    for dim in dims:
        encoder, h = encoder_step(dim, device), torch.randn(32, dim, device=device)
        before = seconds(encoder)
        plain = step_of(build("identity", dim, h).to(device), h)
        for key in KEYS:
            step = step_of(build(key, dim, h).to(device), h)
            step()
            spent[key].append(statistics.median(seconds(step) - seconds(plain) for _ in range(repeats)))
        encoders.append(min(before, seconds(encoder)))
    heads = [f"d={dim} (encoder: {encoder * 1e3:.0f} ms)" for dim, encoder in zip(dims, encoders, strict=True)]
    print(f"| normalizer | {' | '.join(heads)} | within |\n|---|{'---|' * (len(dims) + 1)}")
    for key, times in spent.items():
        shares = [100 * own / encoder for own, encoder in zip(times, encoders, strict=True)]
        cells = [f"{own * 1e3:.2f} ms, {share:.2f} %" for own, share in zip(times, shares, strict=True)]
        print(f"| `{key}` | {' | '.join(cells)} | {next((w for w in LIMITS if max(shares) < float(w[:-2])), 'MORE')} |")


def data(condition: float, ratio: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(DIM, DIM, generator=generator, dtype=torch.float64))[0]
    spectrum = torch.logspace(0, -float(torch.tensor(condition).log10()), DIM, dtype=torch.float64)
    noise = torch.randn(round(ratio * DIM), DIM, generator=generator, dtype=torch.float64)
    return (noise * spectrum.sqrt()) @ axes.T + 1


def stress() -> None:
    print("| normalizer | float32 error | at condition, n/d | bf16 autocast error | at condition, n/d | finite |")
    print("|---|---|---|---|---|---|")
    for key in KEYS:
        worst = dict.fromkeys((torch.float32, torch.bfloat16), (0.0, ""))
        finite = True
        for condition, ratio in itertools.product(CONDITIONS, RATIOS):
            rows = data(condition, ratio).float().double()
            for dtype in worst:
                error, sound = deviation(key, rows, dtype)
                worst[dtype] = max(worst[dtype], (error, f"{condition:.0e}, {ratio:g}"))
                finite &= sound
        cells = " | ".join(f"{error:.1e} | {place}" for error, place in worst.values())
        print(f"| `{key}` | {cells} | {'yes' if finite else 'NO'} |", flush=True)


def deviation(key: str, rows: Tensor, dtype: torch.dtype) -> tuple[float, bool]:
    """Returns the largest error of a training step on ``rows``, and whether outputs and gradients are finite."""
    x = rows.to(dtype).requires_grad_()
    normalizer, oracle = build(key, DIM, rows), build(key, DIM, rows, torch.float64)
    for _ in range(WARMUP if normalizer.mixes_batch else 1):
        exact = oracle(x.detach().double()).detach()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            z = normalizer(x)
    (z**2).sum().backward()
    error = float((z.detach().double() - exact).abs().max() / exact.abs().max().clamp(min=1e-30))
    return error, bool(z.isfinite().all() and x.grad is not None and x.grad.isfinite().all())


def embedded() -> None:
    config = resolved(["experiment=quickstart", "callbacks=none"])
    with tempfile.TemporaryDirectory() as folder:
        experiment = build_run(config, RunFolder(Path(folder)))
    classifier: Any = experiment.module.classifier
    with classifier.evaluating():
        batches = [(classifier.embed(batch), batch.labels) for batch in experiment.data.train_dataloader()]
    h = torch.cat([embeddings for embeddings, _ in batches])
    print("| normalizer | largest change of a logit by folding | first step | over the identity's |\n|---|---|---|---|")
    for key in KEYS:
        normalizer = build(key, h.shape[1], h, norm=copy.deepcopy(classifier.encoder.final_norm()))
        if normalizer.changes_encoder:
            continue
        classifier.normalizer = normalizer
        classifier.match(batches, optimizer=experiment.module.optimizer, loss=experiment.module.loss)
        found = classifier.matching.summary()
        own, of_identity = found["head/total_step"], found["head/total_step_of_identity"]
        print(f"| `{key}` | {folded(classifier, batches, h)} | {own:.3g} | {own / of_identity:.3g} |", flush=True)


@torch.no_grad()
def folded(classifier: Any, batches: list[tuple[Tensor, Tensor]], h: Tensor) -> str:
    """Returns the largest difference between logits with the normalizer and with the folded head, if it folds."""
    normalizer, head = classifier.normalizer, classifier.head
    for embeddings, _ in batches if normalizer.mixes_batch else []:
        normalizer.train()(embeddings)
    if normalizer.eval().as_affine() is None:
        return "does not fold"
    return f"{float((fold(head, normalizer)(h) - head(normalizer(h))).abs().max()):.1e}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("cost", "stress", "embedded"))
    parser.add_argument("dims", nargs="*", type=int)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if arguments.what == "cost":
        cost(arguments.dims or list(ENCODERS), arguments.device)
    else:
        {"stress": stress, "embedded": embedded}[arguments.what]()
