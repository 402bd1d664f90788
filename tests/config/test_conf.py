"""Every option of every group: headed by its command, spelled out, and built."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import OmegaConf

from clsnorm.config import names
from clsnorm.config.roles import ROLES, check_node, locate

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = sorted(path for path in CONF.glob("*/[!_]*.yaml"))
# Passed when the part is built, never by a configuration.
GIVEN = {
    "normalizer": {"dim"},
    "model": set(),
    "classifier": {"encoder", "normalizer", "num_outputs", "seed_init"},
    "loss": {"task"},
    "regularizer": {"dim"},
    "optimizer": {"groups", "params", "parameters"},
    "scheduler": {"optimizer", "num_training_steps"},
    "data": {"tokenizer", "seed_order", "seed_subset", "seed_noise", "batches_per_step", "rank", "world_size"},
    "logger": {"folder", "config"},
    "callbacks": set(),
}
COMMENTED = (
    "normalizer",
    "model",
    "classifier",
    "loss",
    "regularizer",
    "optimizer",
    "scheduler",
)  # one argument per line, each explained
FILLED_IN = {"files": {"sources", "name", "data_root"}}  # by the class, from its other arguments
MISSING = {
    "any": ["model.path=some/folder"],
    "files": ["data.train=a", "data.report=b", "data.text=[x]", "data.label=y"],
}


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.fixture(scope="module", autouse=True)
def resolvers() -> None:
    names.register()


@cache
def composed(path: Path) -> Any:
    group, key = path.parent.name, path.stem
    overrides = [] if group in ("hydra", "paths") else [f"{'+' if group == 'experiment' else ''}{group}={key}"]
    overrides = [override.removeprefix("+") for override in overrides] + MISSING.get(key, [])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides, return_hydra_config=True)


@pytest.mark.parametrize("path", OPTIONS, ids=name)
def test_an_option_starts_with_a_comment_that_shows_its_command(path: Path) -> None:
    head = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        head.append(line)
    assert head, "an option starts with a comment"
    assert len(head[0]) <= 125
    group, key = path.parent.name, path.stem
    if group not in ("hydra", "paths"):
        assert any("python train.py" in line and f"{group}={key}" in line for line in head), head


@pytest.mark.parametrize("path", [path for path in OPTIONS if path.parent.name in COMMENTED], ids=name)
def test_each_line_has_a_comment(path: Path) -> None:
    for line in path.read_text().splitlines():
        assert " # " in line or line.startswith(("#", "_target_", "defaults:")), line


@pytest.mark.parametrize("path", OPTIONS, ids=name)
def test_composes_and_resolves(path: Path) -> None:
    config = composed(path)
    job = OmegaConf.masked_copy(config, [key for key in config if key not in ("hydra", "logger")])
    OmegaConf.to_container(job, resolve=True, throw_on_missing=True)
    assert config.hydra.run.dir.startswith("runs/")


def nodes(path: Path) -> list[dict[str, Any]]:
    """The objects that an option describes: the option, or its named entries."""
    group = path.parent.name
    node = OmegaConf.to_container(composed(path)[group], resolve=True) or {}
    assert isinstance(node, dict)
    return [node] if "_target_" in node else list(node.values())


def arguments(kind: type) -> set[str]:
    """The constructor's arguments; where it passes on ``**options``, the base class's too."""
    if kind.__init__ is object.__init__:
        return set()
    signature = inspect.signature(kind.__init__)
    names = {key for key, p in signature.parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        names |= arguments(kind.__mro__[1])
    return names - {"self"}


@pytest.mark.parametrize("path", [path for path in OPTIONS if path.parent.name in GIVEN], ids=name)
def test_keys_are_the_constructor_s_arguments(path: Path) -> None:
    for node in nodes(path):
        role = path.parent.name
        check_node(node, role)
        assert {key for key in node if not key.startswith("_")} == arguments(locate(node["_target_"], role)) - GIVEN[
            role
        ] - FILLED_IN.get(path.stem, set())


def parts(tree: Any) -> Iterator[dict[str, Any]]:
    """The objects within an object, such as the sources and metrics of a data set."""
    for value in tree.values() if isinstance(tree, dict) else ():
        if isinstance(value, dict) and "_target_" in value:
            yield value
        yield from parts(value)


@pytest.mark.parametrize("path", [path for path in OPTIONS if path.parent.name in GIVEN], ids=name)
def test_keys_of_its_parts_are_arguments_and_none_is_missing(path: Path) -> None:
    for part in [part for node in nodes(path) for part in parts(node)]:
        signature = inspect.signature(get_class(part["_target_"])).parameters
        keys = {key for key in part if not key.startswith("_")}
        needed = {key for key, p in signature.items() if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
        assert part.get("_partial_") or needed <= keys, part["_target_"]
        assert keys <= set(signature) | {"average"}, part["_target_"]  # which torchmetrics takes with others


def test_each_role_is_a_group() -> None:
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert set(ROLES) <= groups
