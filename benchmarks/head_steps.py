"""What `classifier.match_step` and `classifier.match_noise` match, with each normalizer.

    python benchmarks/head_steps.py steps rotten_tomatoes
    python benchmarks/head_steps.py steps trec paths.data=FOLDER
    python benchmarks/head_steps.py steps rotten_tomatoes optimizer=sgd
    python benchmarks/head_steps.py noise rotten_tomatoes

``steps``: parts of the head's first step, over the identity's.
On the [CLS] of the first 256 training examples (at most 48 tokens, batches of 32), before training, with the drawn head
of seed 0: the part of the step that differs between examples, and the part that they share, without the mean over
classes. Columns are pairs of these parts: without matching, with ``match_step=total``, and with ``match_step=both``;
the last has the factors of weight and bias of ``both``. Steps are computed by numpy from the formulas of the
gradient and the optimizer; only the factors and the compensation are the package's.
Calibrated normalizers are calibrated on the first 2,000 examples.

``noise``: on the same [CLS], with function-matched heads, the standard deviation of the logits over dropout masks, over
that between examples: at dropout 0.1, at the matched probability, and this probability. Normalizers that no head can be
matched to are left out.
"""

from __future__ import annotations

import contextlib
import copy
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from composed import resolved

from clsnorm.errors import InputError
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


def noise(classifier: Classifier, z: Array, probability: float) -> float:
    """Returns the standard deviation of logits over dropout masks, over that between examples, by numpy."""
    weight = classifier.head.weight.detach().double().numpy()
    weight = weight - weight.mean(0)
    over_masks = probability / (1 - probability) * (z**2 @ weight.T**2).mean()
    return float((over_masks / (z @ weight.T).var(0).mean()) ** 0.5)


class Bench:
    """The [CLS] of a data set, and classifiers that are matched on it."""

    def __init__(self, data: str, *words: str) -> None:
        config = resolved([f"data={data}", "data.max_length=48", "data.batch_size=32", "callbacks=none", *words])
        with tempfile.TemporaryDirectory() as folder:
            self.experiment: Any = build_run(config, RunFolder(Path(folder)))
        torch.set_num_threads(1)
        whole, self.signs = embedded(self.experiment), config["choices"]["optimizer"] != "sgd"
        self.rows, self.batches = torch.cat([rows for rows, _ in whole]), whole[: SEEN // 32]
        self.encoder = self.experiment.module.classifier.encoder

    def normalizer(self, key: str) -> Normalizer:
        return build(key, self.rows.shape[1], self.rows, norm=copy.deepcopy(self.encoder.final_norm()))

    def matched(self, normalizer: Normalizer, **options: Any) -> tuple[Classifier, list[tuple[Array, Array]]]:
        """Returns a classifier and its normalized batches."""
        batches = [(seen_by(normalizer, rows), labels) for rows, labels in self.batches]
        outputs = self.experiment.data.num_outputs
        classifier = Classifier(self.encoder, normalizer, num_outputs=outputs, seed_init=0, **options)
        classifier.match(batches, optimizer=self.experiment.module.optimizer, loss=self.experiment.module.loss)
        return classifier, [(classifier._settled(h).double().numpy(), labels.numpy()) for h, labels in batches]

    def steps(self, keys: Sequence[str] = KEYS) -> Iterator[tuple[str, list[Array], list[float]]]:
        """Yields each normalizer with both parts by each rule, over the identity's, and the factors of the last."""
        identity = None
        for key in ["identity", *(key for key in keys if key != "identity")]:
            shares = []
            for rule in RULES:
                classifier, batches = self.matched(self.normalizer(key), match_step=rule)
                found = parts(classifier, batches, signs=self.signs)
                identity = found if identity is None else identity
                shares.append(found / identity)
            yield key, shares, classifier.matching.rates.tolist()

    def noises(self, keys: Sequence[str] = KEYS) -> Iterator[tuple[str, float, float, float]]:
        """Yields each normalizer with noise over signal before and after matching, and the matched probability."""
        for key in ["identity", *(key for key in keys if key != "identity")]:
            with contextlib.suppress(InputError):
                classifier, batches = self.matched(self.normalizer(key), init="function_matched")
                z, probability = np.concatenate([z for z, _ in batches]), float(classifier.matching.dropout)
                yield key, noise(classifier, z, 0.1), noise(classifier, z, probability), probability


def main(what: str, *words: str) -> None:
    bench = Bench(*words)
    if what == "noise":
        print("| normalizer | at dropout 0.1 | matched | its dropout |\n|---|---|---|---|")
        for name, before, after, probability in bench.noises():
            print(f"| `{name}` | {before:.3f} | {after:.3f} | {probability:.3f} |", flush=True)
        return
    print("| normalizer | `none` | `total` | `both` | factors of `both` |\n|---|---|---|---|---|")
    for name, found, factors in bench.steps():
        pairs = [", ".join(f"{share:.3f}" for share in pair) for pair in found]
        print(f"| `{name}` | {' | '.join(pairs)} | {', '.join(f'{rate:.3g}' for rate in factors)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
