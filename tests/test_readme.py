"""The README is true: its tables, its commands, its code."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from clsnorm import naming
from clsnorm.catalogue import with_tables

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = sorted(
    {
        line.split("#")[0].strip().removeprefix(".venv/bin/")
        for line in "\n".join(BLOCKS).splitlines()
        if "python train.py" in line
    }
    | {f"python train.py {words}" for words in re.findall(r"`python train\.py ([^`]*=[^`]*)`", README)}
)


def test_tables_are_those_of_the_configuration() -> None:
    assert with_tables(README, ROOT / "conf") == README, "run: python -m clsnorm.catalogue"


def test_make_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\S+)", "\n".join(BLOCKS), flags=re.MULTILINE)
    assert {"train", "test"} <= set(targets)
    assert all(f"\n{target}:" in makefile for target in targets)


def jobs(command: str) -> list[list[str]]:
    """The override lists of a command; several for a sweep."""
    words = [word for word in shlex.split(command)[2:] if word != "-m"]
    parser = OverridesParser.create()
    choices = []
    for override in parser.parse_overrides(words):
        if override.is_sweep_override():
            choices.append([f"{override.get_key_element()}={v}" for v in override.sweep_string_iterator()])
        else:
            choices.append([override.input_line or ""])
    return [list(job) for job in itertools.product(*choices)]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_compose(command: str) -> None:
    naming.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        names = [compose("train", job, return_hydra_config=True).hydra.run.dir for job in jobs(command)]
    assert len(set(names)) == len(names)


def test_normalizer_of_the_readme_works() -> None:
    import torch

    code = re.search(r"```python\n(from torch import Tensor.*?)```", README, flags=re.DOTALL)
    assert code is not None
    scope: dict = {}
    exec(code[1], scope)
    h = torch.tensor([[1.0, -3.0]])
    torch.testing.assert_close(scope["Softsign"](2)(h), torch.tensor([[0.5, -0.75]]))
