"""Whole evaluations of a tiny run: its own data, other data, merged classes, refusals, the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from runs import results

from clsnorm.config import names
from clsnorm.errors import InputError
from clsnorm.evaluate import evaluate_command
from clsnorm.evaluate.evaluation import EvaluationFolder, evaluate, execute
from clsnorm.evaluate.evaluation_table import print_evaluation

ROOT = Path(__file__).parents[2]
Train = Callable[..., SimpleNamespace]
Configure = Callable[..., dict[str, Any]]


@pytest.fixture
def run(train: Train) -> SimpleNamespace:
    return train("trainer.max_epochs=1", "normalizer=layernorm")


@pytest.fixture
def configure(workspace: Path, tiny_data: SimpleNamespace) -> Configure:
    names.register()

    def compose_plain(run: Path, *overrides: str) -> dict[str, Any]:
        words = ["data=files", f"data.train={tiny_data.train}", f"data.report={tiny_data.report}"]
        words += ["data.text=[sentence]", "data.label=label", "accelerator=cpu", "resamples=100", f"run={run}"]
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = compose("evaluate", [*words, *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        typed = HydraConfig.get().overrides.task
        return evaluate_command.resolve(OmegaConf.masked_copy(config, [key for key in config if key != "hydra"]), typed)

    return compose_plain


def evaluated(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    folder.mkdir()
    return evaluate(config, folder)


def test_on_its_own_data_a_run_has_the_numbers_of_its_results(
    run: SimpleNamespace, configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(run.folder)
    assert config["data"]["max_length"] == 16, "texts are cut as in the run"
    record = evaluated(config, tmp_path / "own")
    expected = results(run)
    scores = record["parts"]["report"]["scores"]
    for name in ("loss", "accuracy"):
        assert scores[name]["value"] == expected["metrics"][f"report/{name}"]
    assert record["parts"]["report"]["majority"] == expected["majority"]
    stored, found = (pd.read_parquet(place / "predictions.parquet") for place in (run.folder, tmp_path / "own"))
    pd.testing.assert_frame_equal(found, stored)
    assert EvaluationFolder(tmp_path / "own").require_results()["run_hash"] == expected["config_hash"]
    print_evaluation({**record, "run": "runs/[bold]"}, tmp_path / "[own]")
    printed = capsys.readouterr().out
    assert "[bold] on files" in printed
    assert "[own]" in printed
    assert f"{scores['accuracy']['value']:.4f}" in printed


def test_all_splits_can_be_scored(run: SimpleNamespace, configure: Configure, tmp_path: Path) -> None:
    record = evaluated(configure(run.folder, "split=all"), tmp_path / "all")
    assert {name: part["rows"] for name, part in record["parts"].items()} == {"train": 120, "select": 120, "report": 40}
    select = record["parts"]["select"]["scores"]["accuracy"]["value"]
    assert select == results(run)["metrics"]["select/accuracy"]
    assert len(pd.read_parquet(tmp_path / "all" / "predictions.parquet")) == 280


@pytest.fixture
def other(tiny_data: SimpleNamespace, tmp_path: Path) -> str:
    """The same texts under other names of the classes, in the opposite order."""
    path = tmp_path / "other.tsv"
    frame = pd.read_csv(tiny_data.report, sep="\t")
    frame.assign(label=frame.label.map({0: "unhappy", 1: "happy"})).to_csv(path, sep="\t", index=False)
    return str(path)


def test_classes_of_other_names_are_mapped(
    run: SimpleNamespace, configure: Configure, other: str, tmp_path: Path
) -> None:
    words = [f"data.train={other}", "data.report=null", "split=all", "data.max_empty=0.5"]
    with pytest.raises(InputError, match=r"classes of the run \(0, 1\) to be those of the data \(happy, unhappy\)"):
        evaluated(configure(run.folder, *words), tmp_path / "refused")
    record = evaluated(configure(run.folder, *words, "classes={0:unhappy,1:happy}"), tmp_path / "mapped")
    assert record["classes"] == {"0": "unhappy", "1": "happy"}
    right = sum(part["right"]["count"] for part in record["parts"].values())
    assert right == round(40 * results(run)["metrics"]["report/accuracy"])


def test_numbers_are_no_classes(run: SimpleNamespace, configure: Configure, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data with classes, which the run predicts, but 'files' has numbers"):
        evaluated(configure(run.folder, "data.task=regression"), tmp_path / "refused")


def test_a_failure_is_recorded(configure: Configure, run: SimpleNamespace, tmp_path: Path) -> None:
    config = configure(run.folder)
    (run.folder / "selected.ckpt").unlink()
    (tmp_path / "broken").mkdir()
    with pytest.raises(InputError):
        execute(config, tmp_path / "broken")
    assert not (tmp_path / "broken" / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["split=test"], "report, select, train, all"),
        (["classes=[a]"], "a mapping"),
        (["resamples=10"], "100"),
        (["run=nowhere"], "finished run"),
    ],
)
def test_mistakes(run: SimpleNamespace, configure: Configure, words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        configure(run.folder, *words)


def test_a_data_set_must_be_chosen(run: SimpleNamespace, configure: Configure) -> None:
    with pytest.raises(InputError, match="data=NAME"):
        evaluate_command.resolve(OmegaConf.create(), [f"run={run.folder}"])


@pytest.mark.slow
def test_the_command_prints_a_table_and_is_done_once(
    run: SimpleNamespace, tiny_data: SimpleNamespace, workspace: Path
) -> None:
    words = [f"run={run.folder}", "data=files", f"data.train={tiny_data.train}", f"data.report={tiny_data.report}"]
    words += ["data.text=[sentence]", "data.label=label", "resamples=100"]

    def typed(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "clsnorm.evaluate", *more]
        return subprocess.run(command, cwd=workspace, capture_output=True, text=True, timeout=300, check=False)

    first = typed(*words)
    assert first.returncode == 0, first.stderr
    (folder,) = (workspace / "evaluations").iterdir()
    assert folder.name.startswith(f"{run.folder.name}-on-files-")
    assert "report: 40" in first.stdout
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = typed(*words)
    assert again.returncode == 0
    assert "done before" in again.stdout + again.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert typed(f"run={run.folder}").returncode == 2
    refused = typed("data=rotten_tomatoes")
    assert refused.returncode == 2
    assert "Type run=runs/NAME" in refused.stderr
    assert len(list((workspace / "evaluations").iterdir())) == 1
