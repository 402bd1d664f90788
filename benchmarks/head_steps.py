"""What `classifier.match_step` matches: parts of a head's first step with each normalizer, over the identity's.

    python benchmarks/head_steps.py rotten_tomatoes
    python benchmarks/head_steps.py trec paths.data=FOLDER
    python benchmarks/head_steps.py rotten_tomatoes optimizer=sgd

On the [CLS] of the first 256 training examples (at most 48 tokens, batches of 32), before training, with the drawn head
of seed 0: the part of the step that differs between examples, and the part that they share, without the mean over
classes. Columns are pairs of these parts: without matching, with ``match_step=total``, and with ``match_step=both``;
the last has the factors of weight and bias of ``both``. Steps are computed by numpy from the formulas of the
gradient and the optimizer; only the factors and the compensation are the package's.
Calibrated normalizers are calibrated on the first 2,000 examples.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from composed import resolved

from clsnorm.experiment.assembly import build as build_run
from clsnorm.model import Classifier
from clsnorm.normalizers import LayerNormRefit, Normalizer
from clsnorm.run_folder import RunFolder
from normalizers import KEYS, build

SEEN, CALIBRATED, EPS = 256, 2000, 1e-8
RULES = ("none", "total", "both")
Array = np.ndarray[Any, Any]


def embedded(experiment: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    classifier, batches, seen = experiment.module.classifier, [], 0
    with classifier.evaluating():
        for batch in experiment.data.train_dataloader():
            batches.append((classifier.embed(batch), batch.labels))
            seen += len(batch)
            if seen >= CALIBRATED:
                break
    return batches


def parts(classifier: Classifier, batches: list[tuple[Array, Array]], *, signs: bool) -> Array:
    """Returns the specific and the common part of a step at the classifier's rates, by numpy."""
    weight, bias = (p.detach().double().numpy() for p in (classifier.head.weight, classifier.head.bias))
    rates, shift = (b.double().numpy() for b in (classifier.matching.rates, classifier.matching.shift))
    rows, squares = np.concatenate([z for z, _ in batches]), []
    for z, labels in batches:
        scores = np.exp(z @ weight.T + bias)
        error = (scores / scores.sum(1, keepdims=True) - np.eye(len(bias))[labels]) / len(labels)
        gradients = error.T @ z, error.sum(0)
        steps = [rate * (g / (np.abs(g) + EPS) if signs else g) for rate, g in zip(rates, gradients, strict=True)]
        moved = rows @ steps[0].T + steps[1] + steps[0] @ shift
        moved -= moved.mean(1, keepdims=True)
        squares.append([((moved - moved.mean(0)) ** 2).mean(), (moved.mean(0) ** 2).mean()])
    return np.sqrt(np.mean(squares, axis=0))


def seen_by(normalizer: Normalizer, rows: torch.Tensor) -> torch.Tensor:
    """Returns the encoder's embeddings after the normalizer was calibrated; one of them changes the encoder then."""
    return (rows - normalizer.mean) / normalizer.deviation if isinstance(normalizer, LayerNormRefit) else rows


def measure(data: str, *words: str, keys: Sequence[str] = KEYS) -> Iterator[tuple[str, list[Array], list[float]]]:
    """Yields each normalizer with both parts by each rule, over the identity's, and the two factors of the last."""
    config = resolved([f"data={data}", "data.max_length=48", "data.batch_size=32", "callbacks=none", *words])
    with tempfile.TemporaryDirectory() as folder:
        experiment = build_run(config, RunFolder(Path(folder)))
    torch.set_num_threads(1)
    whole, signs = embedded(experiment), config["choices"]["optimizer"] != "sgd"
    h, batches = torch.cat([rows for rows, _ in whole]), whole[: SEEN // 32]
    encoder, identity = experiment.module.classifier.encoder, None
    for key in ["identity", *(key for key in keys if key != "identity")]:
        normalizer, shares = build(key, h.shape[1], h, norm=copy.deepcopy(encoder.final_norm())), []
        own = [(seen_by(normalizer, rows), labels) for rows, labels in batches]
        for rule in RULES:
            options: dict[str, Any] = {"num_outputs": experiment.data.num_outputs, "seed_init": 0, "match_step": rule}
            classifier = Classifier(encoder, normalizer, **options)
            classifier.match(own, optimizer=experiment.module.optimizer, regression=False)
            z = [(classifier._settled(rows).double().numpy(), labels.numpy()) for rows, labels in own]
            found = parts(classifier, z, signs=signs)
            identity = found if identity is None else identity
            shares.append(found / identity)
        yield key, shares, classifier.matching.rates.tolist()


if __name__ == "__main__":
    print("| normalizer | `none` | `total` | `both` | factors of `both` |\n|---|---|---|---|---|")
    for name, found, factors in measure(*sys.argv[1:]):
        pairs = [", ".join(f"{share:.3f}" for share in pair) for pair in found]
        print(f"| `{name}` | {' | '.join(pairs)} | {', '.join(f'{rate:.3g}' for rate in factors)} |", flush=True)
