"""Time and peak memory of reading and tokenizing, each measured in a fresh process.

    python benchmarks/data_loading.py --data FOLDER        # SST-2 in FOLDER, and a CSV of ten million random rows
    python benchmarks/data_loading.py --rows 1000000 --work /tmp/somewhere --few  # without tokenizing all of train

Three starts share one cache: 1,000 training rows (reads all rows, tokenizes few), all of train (rows are cached), and
all of train again (tokens are cached). `MB before` is the peak of the process after all imports and the loading of the
tokenizer. `own MB` is anonymous memory, sampled a hundred times per second (Linux): it excludes pages of files, which
the system can drop.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

CONF = Path(__file__).parents[1] / "conf"
CHUNK = 100_000  # rows written at once
STARTS = {"1,000 rows of train": ["data.max_train_examples=1000"], "all of train": [], "all of train again": []}
FEW = {what: ["data.max_train_examples=1000"] for what in ("1,000 rows of train", "1,000 rows of train again")}


def write_csv(path: Path, rows: int) -> None:
    """Writes rows of 5 to 25 English words and one of two labels; every fourth text contains commas and quotes."""
    words = _words()
    random = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            lengths = random.integers(5, 26, count)
            picks = iter(random.integers(len(words), size=int(lengths.sum())).tolist())
            labels = random.integers(2, size=count).tolist()
            for row, (length, label) in enumerate(zip(lengths.tolist(), labels, strict=True)):
                text = " ".join(words[next(picks)] for _ in range(length))
                quoted = f'"he said, ""{text}"", and left"' if row % 4 == 0 else text
                file.write(f"{quoted},{label}\n")


def measure(overrides: Sequence[str]) -> None:
    """Prepares a data set and prints seconds and memory as JSON."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from clsnorm.config import names
    from clsnorm.config.roles import instantiate
    from clsnorm.model import load_tokenizer

    names.register()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
        config = compose("train", list(overrides))
    node = OmegaConf.to_container(config.data, resolve=True)
    assert isinstance(node, dict)
    seeds = {f"seed_{name}": 0 for name in ("order", "subset", "noise")}
    tokenizer = load_tokenizer(config.model.path)
    before, own_before = _peak_mb(), _own_mb()
    began = time.perf_counter()
    data = instantiate(node, "data", tokenizer=tokenizer, **seeds)
    own = _peak_own_mb(data.prepare)
    seconds = time.perf_counter() - began
    memory = {"before": before, "peak": _peak_mb(), "own_before": own_before, "own": own}
    print(json.dumps({"rows": data.source_record["rows"], "seconds": seconds, **memory}))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _own_mb() -> float:
    """Returns the process's anonymous memory."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 1024


def _peak_own_mb(work: Callable[[], object]) -> float:
    """Returns the largest `_own_mb` during ``work``."""
    done, seen = threading.Event(), [_own_mb()]

    def watch() -> None:
        while not done.wait(0.01):
            seen.append(_own_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return max(seen)


def start(name: str, overrides: Sequence[str], starts: Mapping[str, Sequence[str]]) -> None:
    """Measures the ``starts`` of a data set one after the other with an empty cache, and prints a line for each."""
    with tempfile.TemporaryDirectory(prefix="clsnorm-cache-") as cache:
        for what, more in starts.items():
            command = [sys.executable, __file__, "--measure", *overrides, *more, f"paths.cache={cache}"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {name} | {what} | {found['rows']['train']:,} | {found['seconds']:.1f} | {found['before']:.0f} | "
                f"{found['peak']:.0f} | {found['own_before']:.0f} | {found['own']:.0f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of published data sets with SST-2")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the random CSV; 0: none")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()), help="where to write the CSV")
    parser.add_argument("--few", action="store_true", help="train on 1,000 rows, twice, and never on all")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure)
    elif given.make:
        write_csv(given.make, given.rows)
    else:
        tabulate(given.data, given.rows, given.work, FEW if given.few else STARTS)


def tabulate(data: str | None, rows: int, work: Path, starts: Mapping[str, Sequence[str]]) -> None:
    """Prints the table of measurements."""
    head = ["data", "training rows", "train", "seconds", "MB before", "peak MB", "own MB before", "own peak MB"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
    if data:
        start("SST-2", ["data=sst2", f"paths.data={data}"], starts)
    if rows:
        with tempfile.TemporaryDirectory(prefix="clsnorm-csv-", dir=work) as folder:
            path = Path(folder) / "rows.csv"
            # In another process: a child starts with its parent's peak.
            subprocess.run([sys.executable, __file__, "--make", str(path), "--rows", str(rows)], check=True)
            start(f"CSV, {path.stat().st_size / 1e6:,.0f} MB", ["data=files", f"data.train={path}"], starts)


def _words() -> list[str]:
    """Returns the whole words of the embedded model's vocabulary."""
    from hydra import compose, initialize_config_dir

    from clsnorm.config import names
    from clsnorm.model import load_tokenizer

    names.register()
    with initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
        vocabulary = load_tokenizer(compose("train", []).model.path).get_vocab()
    return sorted(word for word in vocabulary if word.isascii() and word.isalpha())


if __name__ == "__main__":
    main()
