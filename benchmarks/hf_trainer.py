"""Compares the identity baseline with Hugging Face's Trainer, on the same examples in the same order.

Step by step, dropout off: with the same initial weights, batches and recipe, the losses must agree.
    python benchmarks/hf_trainer.py --mode steps --data rotten_tomatoes --steps 100
What that comparison can detect: the same with one mistake in the Trainer's recipe at a time.
    python benchmarks/hf_trainer.py --mode power --data rotten_tomatoes --steps 100
Over seeds, dropout on: mean, spread and a 90 % interval of the difference in report scores.
    python benchmarks/hf_trainer.py --mode seeds --data rotten_tomatoes --seeds 10

Needs `pip install -e '.[benchmarks]'`. The recipe is BERT's head: tap `pooler`, dropout, linear layer.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from composed import composed, resolved
from hydra.core.hydra_config import HydraConfig
from torch.utils.data import SequentialSampler
from transformers import BertForSequenceClassification, Trainer, TrainingArguments

from clsnorm import Batch
from clsnorm.experiment.assembly import build
from clsnorm.experiment.job import run
from clsnorm.run_folder import RunFolder

MISTAKES: dict[str, dict[str, Any]] = {
    "none": {},
    "eps 1e-6": {"adam_epsilon": 1e-6},
    "weight decay 0": {"weight_decay": 0.0},
    "no clipping": {"max_grad_norm": 0.0},
    "second moment's rate 0.99": {"adam_beta2": 0.99},
    "constant rate after warm-up": {"lr_scheduler_type": "constant_with_warmup"},
}


def ours(overrides: list[str]) -> tuple[list[float], float]:
    """Returns the loss of each step and the report score of a run of clsnorm."""
    run(composed(overrides))
    folder = RunFolder(Path(HydraConfig.get().runtime.output_dir))
    lines = [line.split(",") for line in folder.metrics.read_text().splitlines()]
    column = lines[0].index("train/loss")
    results = folder.read_results()
    assert results is not None
    score = results["metrics"]["last/report/accuracy"]  # Trainer keeps the last weights, too
    return [float(line[column]) for line in lines[1:] if line[column]], score


def as_inputs(batch: Batch) -> dict[str, torch.Tensor]:
    """Returns a padded batch with the argument names of Hugging Face's models."""
    return {
        "input_ids": batch.token_ids,
        "attention_mask": batch.mask.long(),
        "token_type_ids": batch.segment_ids,
        "labels": batch.labels,
    }


class Ordered(Trainer):
    """Keeps the batches in the given order, which both sides share."""

    def _get_train_sampler(self, dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


def theirs(overrides: list[str], mistake: Mapping[str, Any] = MISTAKES["none"]) -> tuple[list[float], float]:
    """Returns the loss of each step and the report accuracy of Hugging Face's Trainer, with a mistake in its recipe."""
    plain = resolved(overrides)
    with tempfile.TemporaryDirectory() as folder:
        parts = build(plain, RunFolder(Path(folder)))
        data, epochs = parts.data, plain["trainer"]["max_epochs"]
        batches = []
        for epoch in range(epochs):
            data.resume_at(epoch, 0)
            batches += [as_inputs(batch) for batch in data.train_dataloader()]
        reports = [as_inputs(batch) for batch in data.test_dataloader()[0]]
        model = same_model(parts.module.classifier, dropout=plain["model"]["dropout"])
        trainer = fit(model, batches, plain, folder, mistake)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses, accuracy(model.eval(), reports)


def same_model(classifier: Any, *, dropout: float | None) -> BertForSequenceClassification:
    """Returns Hugging Face's classifier with the initial weights of ``classifier``."""
    config = classifier.encoder.model.config
    config._attn_implementation = "sdpa"
    config.num_labels = classifier.head.out_features
    config.classifier_dropout = classifier.dropout.p
    model = BertForSequenceClassification(config)
    encoder = {f"bert.{k}": v for k, v in classifier.encoder.model.state_dict().items()}
    pooler = {f"bert.pooler.{k}": v for k, v in classifier.encoder.pooler.state_dict().items()}
    head = {f"classifier.{k}": v for k, v in classifier.head.state_dict().items()}
    model.load_state_dict(encoder | pooler | head)
    return model


def fit(
    model: Any, batches: list[dict[str, torch.Tensor]], plain: dict[str, Any], folder: str, mistake: Mapping[str, Any]
) -> Trainer:
    """Trains with the same recipe, but for the mistake; each item of the data set is a whole batch."""
    optimizer, trainer = plain["optimizer"], plain["trainer"]
    steps = trainer["max_steps"]
    recipe = {
        "learning_rate": optimizer["lr"],
        "weight_decay": optimizer["weight_decay"],
        "adam_epsilon": optimizer["eps"],
        "max_grad_norm": trainer["gradient_clip_val"],
        "lr_scheduler_type": "linear",
    } | mistake
    arguments = TrainingArguments(
        **recipe,
        output_dir=folder,
        per_device_train_batch_size=1,
        max_steps=steps if steps > 0 else len(batches),
        warmup_steps=plain["scheduler"]["warmup_ratio"],
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        seed=plain["seed"],
        remove_unused_columns=False,
        disable_tqdm=True,
    )
    made = Ordered(model=model, args=arguments, train_dataset=batches, data_collator=lambda items: items[0])
    made.train()
    return made


@torch.no_grad()
def accuracy(model: Any, batches: list[dict[str, torch.Tensor]]) -> float:
    """Returns the share of examples whose largest logit is the label's."""
    right = [(model(**batch).logits.argmax(-1) == batch["labels"]) for batch in batches]
    return torch.cat(right).float().mean().item()


def detect_mistakes(overrides: list[str]) -> dict[str, Any]:
    """Returns the largest deviation of the loss in the first 12 and in all steps, by the Trainer's mistake."""
    quiet = [*overrides, "model.dropout=0", "classifier.dropout=0"]
    mine = np.array(ours(quiet)[0])
    found = {}
    for name, mistake in MISTAKES.items():
        gaps = np.abs(mine - np.array(theirs(quiet, mistake)[0]))
        found[name] = {"12 steps": gaps[:12].max(), f"{len(gaps)} steps": gaps.max()}
    return found


def compare_steps(overrides: list[str]) -> dict[str, Any]:
    """Returns the largest deviation of the loss over all steps, dropout off."""
    quiet = [*overrides, "model.dropout=0", "classifier.dropout=0"]
    mine, other = ours(quiet)[0], theirs(quiet)[0]
    gaps = [abs(a - b) for a, b in zip(mine, other, strict=True)]
    return {"steps": len(gaps), "largest deviation": max(gaps), "first": mine[0], "last": mine[-1]}


def compare_seeds(overrides: list[str], seeds: int) -> dict[str, Any]:
    """Returns means, spreads and the 90 % interval of the paired difference (two one-sided tests at 5 %)."""
    from scipy import stats

    pairs = [(ours([*overrides, f"seed={s}"])[1], theirs([*overrides, f"seed={s}"])[1]) for s in range(seeds)]
    mine, other = np.array(pairs).T
    gap = mine - other
    half = stats.t.ppf(0.95, seeds - 1) * gap.std(ddof=1) / np.sqrt(seeds)
    return {
        "ours": [mine.mean(), mine.std(ddof=1)],
        "theirs": [other.mean(), other.std(ddof=1)],
        "90% interval": [gap.mean() - half, gap.mean() + half],
        "pairs": pairs,
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["steps", "power", "seeds"], required=True)
    parser.add_argument("--data", default="rotten_tomatoes")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("overrides", nargs="*", help="more overrides of train.py")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as output:
        overrides = [f"data={given.data}", "model.tap=pooler", "trainer.accelerator=cpu", "callbacks=none"]
        overrides += [f"paths.output={output}", "trainer.log_every_n_steps=1", "data.packed=false"]
        if given.mode in ("steps", "power"):
            overrides += [f"trainer.max_steps={given.steps}", "trainer.max_epochs=1"]
            compare = compare_steps if given.mode == "steps" else detect_mistakes
            answer = compare([*overrides, *given.overrides])
        else:
            # The last checkpoint on both sides: Trainer does not select one.
            overrides += ["data.max_train_examples=1000", "seeds.subset=0"]
            answer = compare_seeds([*overrides, *given.overrides], given.seeds)
    print(json.dumps({"data": given.data, **answer}, indent=2))


if __name__ == "__main__":
    main()
