"""Studies of tiny runs: the run's own answers, files, repeated commands, refusals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from runs import metrics
from safetensors.torch import load_file, save_file

from clsnorm.ablation.__main__ import main
from clsnorm.ablation.ablation_command import overlap_of_runs
from clsnorm.ablation.ablation_page import as_table, interval, listed, percent
from clsnorm.ablation.ablation_study import AblationStudy, study
from clsnorm.ablation.encoded_rows import EncodedRows, RowCache
from clsnorm.ablation.plan import AblationPlan
from clsnorm.ablation.stored_ablations import AblationFolder
from clsnorm.callbacks.split_pass import fixed_rows
from clsnorm.errors import InputError
from clsnorm.seals import read_json

Train = Callable[..., SimpleNamespace]
FEW = ["--random_sets", "20", "--resamples", "20", "--label_draws", "2", "--accelerator", "cpu"]
PLANTED = 7


@pytest.fixture(scope="session")
def bert_with_outlier(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with one dimension that its last layer norm makes large."""
    folder = tmp_path_factory.mktemp("outlier") / "bert"
    shutil.copytree(tiny_bert, folder)
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.1.output.LayerNorm.weight"][PLANTED] = 12.0
    weights["encoder.layer.1.output.LayerNorm.bias"][PLANTED] = 20.0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def read(folder: Path, name: str = "outliers") -> dict[str, Any]:
    return read_json(folder / "ablations" / name / "ablation.json")


@pytest.mark.parametrize("normalizer", ["identity", "layernorm", "batchnorm"])
def test_a_study_finds_the_planted_dimension_and_starts_from_the_run_s_own_answers(
    train: Train, bert_with_outlier: Path, normalizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(f"model.path={bert_with_outlier}", f"normalizer={normalizer}", "callbacks=none")
    main([str(run.folder), *FEW])
    assert "1 outlier dimensions" in capsys.readouterr().out
    found = read(run.folder)
    assert found["agreement"] == {"equal": True, "largest_difference": 0.0, "other_answers": 0.0}
    assert found["unchanged"]["report"] == metrics(run)["report/accuracy"]
    assert found["place"] == "layer02"
    for side in ("before", "after"):
        sets = found["outliers"][side]["layer02"]
        assert sets["mean"] == sets["norm"] == sets["extreme"] == sets["variance"] == [PLANTED]
    assert found["chosen"]["dimensions"] == [PLANTED]
    zero, without_norm = (
        next(row["effect"] for row in found["select"] if row["ablation"] == name) for name in ("zero", "norm_weight")
    )
    assert set(zero) == set(without_norm)
    assert found["report"]["nulls"]["size"]["sets"] == 20
    page = (run.folder / "ablations" / "outliers" / "ablation.html").read_text()
    assert "The chosen ablation on report" in page
    assert page.count("<svg") == 1
    table = pd.read_csv(run.folder / "ablations" / "outliers" / "ablation.csv")
    report = table[(table["split"] == "report") & (table["null"] == "size") & (table["measure"] == "loss")]
    assert report["effect"].item() == found["report"]["effect"]["loss"]


def test_a_second_command_reads_the_first_and_other_options_need_another_name(
    train: Train, bert_with_outlier: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(f"model.path={bert_with_outlier}", "callbacks=none")
    main([str(run.folder), *FEW])
    first = (run.folder / "ablations" / "outliers" / "ablation.json").read_bytes()
    monkeypatch.setattr("clsnorm.ablation.ablation_command.study", None)
    (run.folder / "ablations" / "outliers" / "ablation.html").unlink()
    main([str(run.folder), *FEW])
    assert "done before" in capsys.readouterr().out
    assert (run.folder / "ablations" / "outliers" / "ablation.html").exists()
    with pytest.raises(InputError, match=r"new for other options \(seed\)"):
        main([str(run.folder), *FEW, "--seed", "1"])
    monkeypatch.undo()
    monkeypatch.setattr(RowCache, "_encode", None)  # the embeddings are cached, also for another study
    main([str(run.folder), *FEW, "--force"])
    again = json.loads((run.folder / "ablations" / "outliers" / "ablation.json").read_text())
    assert again == json.loads(first)
    main([str(run.folder), *FEW, "--name", "fixed", "--definition", "variance", "--ablation", "mean"])
    fixed = read(run.folder, "fixed")["chosen"]
    assert (fixed["by"], fixed["ablation"]) == ("given", "mean")


def test_a_model_without_outliers_and_a_number_to_predict(
    train: Train, workspace: Path, tiny_data: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "report"):
        rows = pd.read_csv(getattr(tiny_data, split), sep="\t")
        rows["label"] = rows["label"] + rows["sentence"].str.len() / 100
        rows.to_csv(workspace / f"{split}.tsv", sep="\t", index=False)
    files = (f"data.train={workspace}/train.tsv", f"data.report={workspace}/report.tsv", "data.task=regression")
    run = train(*files, "callbacks=none")
    main([str(run.folder), *FEW])
    assert "no outlier dimension by any definition" in capsys.readouterr().out
    found = read(run.folder)
    assert found["chosen"] is found["report"] is found["single"] is None
    assert found["agreement"]["equal"]


def test_runs_are_compared_by_their_outliers(train: Train, bert_with_outlier: Path, capsys: Any) -> None:
    folders = [str(train(f"model.path={bert_with_outlier}", "callbacks=none", f"seed={s}").folder) for s in (0, 1)]
    capsys.readouterr()
    main([*folders, *FEW, "--refit_sets", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("written to")]) == 2
    assert any(line.startswith("variance: ") and "Jaccard 1, by chance 0.03125, p 0.03125" in line for line in lines)
    refitted = read(Path(folders[0]))["report"]["refitted"]
    assert (refitted["sets"], refitted["unconverged"]) == (3, 0)
    assert (
        "With a head fitted after the ablation" in (Path(folders[0]) / "ablations/outliers/ablation.html").read_text()
    )
    record = {"dimensions": 32, "place": "layer02", "outliers": {"after": {"layer02": {"mean": [1]}}}}
    assert overlap_of_runs({"one": record, "wider": {**record, "dimensions": 64}}) == []


def test_refusals_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="finished run"):
        main([str(tmp_path), *FEW])
    with pytest.raises(InputError, match="Did you mean 'cpu'"):
        main([str(tmp_path), "--accelerator", "cpus"])
    with pytest.raises(InputError, match="one word"):
        AblationFolder(tmp_path, "../elsewhere")


def test_text_on_the_page() -> None:
    assert (listed([]), listed([1, 2])) == ("–", "1, 2")
    assert interval([0.25, None]) == "0.25 to –"
    assert percent(0.123) == "12.3"
    assert as_table({"select": [], "report": None}).startswith("split,definitions")


def test_the_parts_of_a_study(train: Train, bert_with_outlier: Path, workspace: Path) -> None:
    run = train(f"model.path={bert_with_outlier}", "callbacks=none", "data.max_train_examples=100")
    plan = AblationPlan(random_sets=20, rows=50, resamples=5, label_draws=1)
    device = torch.device("cpu")
    whole = AblationStudy(run.folder, plan, cache=workspace / "cache", device=device)
    rows = whole.train_rows("before")
    assert isinstance(rows, EncodedRows)
    assert len(rows.ids) == rows.places["layer02"].count == 50
    torch.testing.assert_close(rows.places["layer02"].mean.float(), rows.h.mean(0), rtol=1e-4, atol=1e-5)
    ids = whole.data.ids_of("train")
    assert len(ids) == 100
    assert rows.ids.tolist() == ids[fixed_rows(ids, 50)].tolist()
    record = study(run.folder, plan, cache=workspace / "cache", device=device)
    assert record["plan"]["rows"] == 50
