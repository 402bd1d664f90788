"""The page of the data's options: it names all of them, and its examples work as printed."""

from __future__ import annotations

import gzip
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from clsnorm.config import names
from clsnorm.config.roles import instantiate

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "data_options.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "data.train" in line]
EXAMPLES = [cells[-1].strip("`") for cells in ROWS]
NOT_OPTIONS = {"_target_", "_partial_"}


def test_every_option_is_on_the_page() -> None:
    named = {name for cells in ROWS for name in re.findall(r"`(\w+)`", cells[0])}
    options = set(OmegaConf.load(ROOT / "conf" / "data" / "files.yaml")) - NOT_OPTIONS
    assert named == options


def test_examples_show_the_option_of_their_row() -> None:
    for cells in ROWS:
        assert any(f"data.{name}=" in cells[-1] for name in re.findall(r"`(\w+)`", cells[0]) or ["train"]), cells


def write_files() -> None:
    """Writes the files that the examples name."""
    rows = [(f"film number {i}", ("neg", "pos")[i % 2]) for i in range(60)]
    lines = {
        "a": [f'"{text}",{label}' for text, label in rows],
        "b": [f"another {text},{label}" for text, label in rows[:9]],
        "one": ["a good film,pos", "a better film,pos"],
        "empty": [f"{'' if i < 9 else text},{label}" for i, (text, label) in enumerate(rows)],
        "codes": [f"{text},{i % 2}" for i, (text, _) in enumerate(rows)],
        "numbers": [f"{text},{i / 7:.2f}" for i, (text, _) in enumerate(rows)],
        "latin": [f"{text} é,{label}" for text, label in rows],
        "semicolons": [f"{text}, and more;{label}" for text, label in rows],
    }
    lines["escaped"] = [f'"a \\"good\\" {text}, so",{label}' for text, label in rows]
    lines["commented"] = [line for row in lines["a"] for line in ("# a note, or two", row)]
    for name, body in lines.items():
        head = "text;label" if name == "semicolons" else "text,label"
        Path(f"{name}.csv").write_text("\n".join([head, *body]) + "\n", encoding="latin-1")
    Path("titled.csv").write_text("\n".join(["Survey of May", "all, rows", "text,label", *lines["a"]]))
    Path("bare.csv").write_text("\n".join(lines["a"]))
    pairs = [f"{text},{text} again,{i},{label}" for i, (text, label) in enumerate(rows)]
    Path("pairs.csv").write_text("\n".join(["one,two,id,same", *pairs]))
    Path("parts").mkdir()
    for number in range(2):
        part = "\n".join(["text,label", *lines["a"][number * 30 : number * 30 + 30]])
        Path("parts", f"{number}.csv.gz").write_bytes(gzip.compress(part.encode()))


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_work(example: str, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_files()
    names.register()
    words = [word.removeprefix("data.") for word in shlex.split(example)]
    with initialize_config_dir(str(ROOT / "conf" / "data"), version_base="1.3"):
        node = OmegaConf.create({"data": compose("files", words), "paths": {"data": "", "cache": "cache"}})
    plain: Any = OmegaConf.to_container(node, resolve=True)
    data = instantiate(plain["data"], "data", tokenizer=tokenizer, seed_order=0, seed_subset=0, seed_noise=0)
    data.prepare()
    assert data.train_size
