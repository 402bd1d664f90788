"""Largest logit difference of exported stock models: every normalizer that folds, every architecture.

python benchmarks/export_exactness.py

Tiny random models; normalizers are calibrated on, or have seen, the embeddings of random texts. Differences are over
the range of the logits, in float32. A normalizer that is not affine in evaluation has no row.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from omegaconf import OmegaConf

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from model_fixtures import CONFIGS
from transformers import AutoConfig, AutoModel

from clsnorm.batches import Batch
from clsnorm.config import instantiate
from clsnorm.config.choices import CONF
from clsnorm.errors import InputError
from clsnorm.export.stock_model import stock_model
from clsnorm.model import Classifier, Encoder
from clsnorm.model.encoder.checkpoint import quiet

ROWS, LENGTH, CLASSES = 256, 12, 3
EAGER = ("mpnet", "deberta", "deberta-v2")  # without sdpa in transformers


def encoders(families: list[str]) -> Iterator[tuple[str, Encoder]]:
    """Yields a tiny random encoder of each family."""
    for family in families:
        with tempfile.TemporaryDirectory() as folder, quiet():
            torch.manual_seed(0)
            model = AutoModel.from_config(AutoConfig.for_model(family, **CONFIGS[family]), trust_remote_code=False)
            for parameter in model.parameters():  # trained weights are larger than fresh ones
                parameter.data.add_(0.15 * torch.randn_like(parameter))
            model.save_pretrained(folder)
            yield family, Encoder(folder, attention="eager" if family in EAGER else "sdpa", last_layer_cls_only=False)


def batch() -> Batch:
    """Returns random texts."""
    ids = torch.randint(4, 60, (ROWS, LENGTH), generator=torch.Generator().manual_seed(1))
    zeros = torch.zeros(ROWS, dtype=torch.int64)
    return Batch(
        token_ids=ids,
        positions=torch.arange(LENGTH).expand(ROWS, LENGTH),
        segment_ids=torch.zeros_like(ids),
        lengths=torch.full((ROWS,), LENGTH),
        labels=zeros,
        example_ids=torch.arange(ROWS),
        global_size=ROWS,
    )


@torch.no_grad()
def difference(encoder: Encoder, name: str, texts: Batch) -> float | None:
    """Returns the largest difference over the range; None if the normalizer does not fold."""
    torch.manual_seed(0)
    encoder = copy.deepcopy(encoder)  # a normalizer may change it
    node = OmegaConf.to_container(OmegaConf.load(CONF / "normalizer" / f"{name}.yaml"))
    normalizer = instantiate(node, "normalizer", encoder.dim)
    normalizer.take_batch_size(ROWS)
    classifier = Classifier(encoder, normalizer, num_outputs=CLASSES, seed_init=0, init_std=1.0).eval()
    h = encoder.eval()(texts).cls
    if normalizer.calibration is not None:
        accumulator = normalizer.calibration(encoder.dim)
        accumulator.update(h)
        normalizer.calibrate(accumulator)
    elif normalizer.mixes_batch:
        normalizer.settle(h)
    for parameter in normalizer.parameters():  # as if trained
        parameter.add_(0.3 * torch.randn_like(parameter))
    classifier.eval()
    if normalizer.as_affine() is None:
        return None
    logits = classifier(texts).logits
    model, _ = stock_model(classifier, [str(c) for c in range(CLASSES)])
    mask = torch.ones_like(texts.token_ids)
    found = model(input_ids=texts.token_ids, attention_mask=mask).logits
    return float((logits - found).abs().max() / (logits.max() - logits.min()))


def main(names: list[str], families: list[str]) -> None:
    """Prints the table."""
    texts, columns = batch(), {}
    for family, encoder in encoders(families):
        columns[family] = {}
        for name in names:
            try:
                columns[family][name] = difference(encoder, name, texts)
            except InputError as error:
                print(f"{family}, {name}: {error}", file=sys.stderr)
                columns[family][name] = None
    print("| normalizer | " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name in names:
        cells = [columns[family][name] for family in columns]
        if any(cell is not None for cell in cells):
            print(f"| `{name}` | " + " | ".join("–" if cell is None else f"{cell:.0e}" for cell in cells) + " |")


if __name__ == "__main__":
    every = sorted(path.stem for path in (CONF / "normalizer").glob("[!_]*.yaml"))
    main(every, list(CONFIGS))
