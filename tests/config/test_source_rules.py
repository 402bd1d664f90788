"""Rules read from the source refuse what the imported classes refuse, in the same words, and nothing else."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from clsnorm.config import CONF, rules
from clsnorm.config.roles import locate
from clsnorm.config.source_rules import check_source_rules
from clsnorm.config.types import misfits
from clsnorm.errors import InputError

NUMBERS: list[Any] = [-1, 0, 1, 2, 0.3, 1e308, -0.5, None]
NORMALIZERS = ("BatchNorm", "BatchRenorm", "IterNorm", "IsoBN", "PowerNorm", "ZCAWhitening", "RMSNorm", "GroupNorm")


def message(work: Callable[[], Any]) -> str | None:
    try:
        work()
    except InputError as error:
        return str(error)
    except Exception as error:  # a fault that is not an `InputError`: of torch, or of values that do not go together
        return f"{type(error).__name__}"
    return None


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield from [value] if "_target_" in value else []
        for part in value.values():
            yield from nodes(part)


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_the_defaults_of_every_option_pass(path: Path) -> None:
    for node in nodes(yaml.safe_load(path.read_text())):
        check_source_rules(
            node["_target_"], {name: value for name, value in node.items() if not {*"$?"} & {*str(value)}}
        )


@pytest.mark.parametrize("name", NORMALIZERS)
def test_a_normalizer_refuses_the_same_values_in_the_same_words(name: str) -> None:
    import clsnorm.normalizers

    kind, refused = getattr(clsnorm.normalizers, name), 0
    for argument in inspect.signature(kind).parameters.keys() - {"dim"}:
        for value in NUMBERS:
            given = {argument: value}
            if list(misfits(kind, given)):
                continue
            early = message(lambda given=given: check_source_rules(f"clsnorm.normalizers.{name}", given))
            late = message(lambda given=given: kind(8, **given))
            assert early in (None, late), given
            refused += early is not None
    assert refused


@pytest.mark.parametrize("argument", ["lr", "layer_decay", "head_lr_factor"])
@pytest.mark.parametrize("value", [value for value in NUMBERS if value is not None])
def test_the_optimizer_refuses_the_same_values_in_the_same_words(argument: str, value: float) -> None:
    from clsnorm.optim import AdamW

    given = {"lr": 1e-3, argument: value}
    late = message(lambda: AdamW([torch.nn.Parameter(torch.zeros(1))], **given))
    early = message(lambda: check_source_rules("clsnorm.optim.AdamW", given))
    assert early == (late if late and late.startswith("Expected argument `optimizer") else None)


@pytest.mark.parametrize(
    ("target", "given", "rule"),
    [
        ("clsnorm.data.UserFiles", {"batch_size": 0}, "`data.batch_size` to be a whole number of at least 1"),
        ("clsnorm.data.UserFiles", {"skip_lines": -1}, "`data.skip_lines` to be null or a whole number"),
        ("clsnorm.data.UserFiles", {"task": "x"}, "`data.task` to be one of classification, regression"),
        ("clsnorm.data.DataModule", {"label_noise": 2}, "`data.label_noise` to be a number from 0 to 1"),
        ("clsnorm.data.DataModule", {"max_train_examples": 3, "shots_per_class": 3}, r"but got both \(3, 3\)"),
        ("clsnorm.model.Classifier", {"dropout": 1}, "`classifier.dropout` to be a number from 0 to below 1"),
        ("clsnorm.model.Classifier", {"recalibrate_every": 0}, "`classifier.recalibrate_every` to be null or"),
        ("clsnorm.model.Encoder", {"tap": "pooled"}, "`model.tap` to be one of hidden"),
        ("clsnorm.model.Encoder", {"path": "x", "dropout": 5}, "`model.dropout` to be null or a number from 0"),
        ("clsnorm.callbacks.GradientNorms", {"top": 0}, "`gradient_norms.top` to be a whole number of at least 1"),
    ],
)
def test_rules_are_found_wherever_a_constructor_passes_a_value_on(
    target: str, given: dict[str, Any], rule: str
) -> None:
    locate(target, "here")
    with pytest.raises(InputError, match=rule):
        check_source_rules(target, given)


@pytest.mark.parametrize(
    "target", [None, 5, "os.system", "clsnorm", "clsnorm.gone.X", "clsnorm.optim.Gone", "torch.nn.Linear"]
)
def test_other_targets_are_passed_over(target: object) -> None:
    check_source_rules(target, {"lr": -1, "in_features": -1})


def test_torch_is_not_imported() -> None:
    code = """
import sys
from clsnorm.config.source_rules import check_source_rules
try:
    check_source_rules("clsnorm.data.UserFiles", {"batch_size": 0})
except ValueError:
    sys.exit("torch" in sys.modules)
sys.exit(1)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_values_of_a_configuration_are_checked_wherever_they_are() -> None:
    config = {"optimizer": {"_target_": "clsnorm.optim.AdamW", "lr": -1}}
    with pytest.raises(InputError, match=r"`optimizer\.lr` to be a positive number, but got -1"):
        rules._check_arguments(config, "")
