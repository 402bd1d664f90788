"""Whole studies of a tiny model: files, cache, reuse, refusals, pages."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from clsnorm.config import names
from clsnorm.errors import InputError
from clsnorm.experiment.assembly import build_data, load_pretrained
from clsnorm.probes import features as feature_cache
from clsnorm.probes import probe_command
from clsnorm.probes.features import Features, read_features, resolved
from clsnorm.probes.probe_page import is_beyond_noise, write_probe_page
from clsnorm.probes.probe_table import COLUMNS, probe_csv
from clsnorm.probes.probing import ProbeFolder, execute
from clsnorm.seals import read_json

ROOT = Path(__file__).parents[2]
Probed = Callable[..., SimpleNamespace]


@pytest.fixture
def configured(workspace: Path, tiny_bert: Path, tiny_data: SimpleNamespace) -> Callable[..., dict[str, Any]]:
    names.register()

    def compose_plain(*overrides: str) -> dict[str, Any]:
        words = [f"data.train={tiny_data.train}", f"data.report={tiny_data.report}", "data.text=[sentence]"]
        words += ["data=files", "data.label=label", "data.max_length=16", "model=any", f"model.path={tiny_bert}"]
        words += ["accelerator=cpu", "draws=3", "resamples=100", "shots=2"]
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = compose("probe", [*words, *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        return probe_command.resolve(OmegaConf.masked_copy(config, [key for key in config if key != "hydra"]))

    return compose_plain


@pytest.fixture
def probed(workspace: Path, configured: Callable[..., dict[str, Any]]) -> Probed:
    def run(*overrides: str) -> SimpleNamespace:
        plain = configured(*overrides)
        folder = workspace / "study"
        folder.mkdir(exist_ok=True)
        execute(plain, folder)
        return SimpleNamespace(record=read_json(folder / "probes.json"), folder=folder, config=plain)

    return run


def test_a_study_of_all_probes_writes_its_files(probed: Probed) -> None:
    done = probed("normalizers=[zca_whitening,layernorm]", "leak=true", "places=[layer01,last]")
    assert list(done.record["places"]) == ["layer01", "layer02"]
    last = done.record["places"]["layer02"]
    assert list(last["arms"]) == ["identity", "zca_whitening", "layernorm", "zca_whitening+leak", "layernorm+leak"]
    assert set(last["arms"]["identity"]["probes"]) == {
        "logistic", "logistic_invariant", "logistic_unregularized", "ridge", "nearest_mean", "lda", "knn",
        "cosine_knn", "few_shot",
    }  # fmt: skip
    assert (
        done.record["rows"] == {"train": 216 - 0, "select": 24, "report": 40}
        or sum(done.record["rows"].values()) == 280
    )
    assert ProbeFolder(done.folder).require_results(("commit", "places"))
    table = list(csv.DictReader(io.StringIO((done.folder / "probes.csv").read_text())))
    assert tuple(table[0]) == COLUMNS
    accuracy = last["arms"]["layernorm"]["probes"]["ridge"]["report"]["accuracy"]
    shown = [row for row in table if (row["place"], row["arm"], row["probe"], row["measure"])
             == ("layer02", "layernorm", "ridge", "report/accuracy")]  # fmt: skip
    assert [float(row["value"]) for row in shown] == [accuracy]
    page = (done.folder / "probes.html").read_text()
    assert "cosine knn" in page
    assert "what the leak gives" in page
    assert "http" not in page


def test_the_same_command_gives_the_same_numbers_from_the_cache(
    probed: Probed, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("normalizers=[rotation]", "probes=[ridge,few_shot]")
    first = probed(*words).record
    monkeypatch.setattr(feature_cache, "encode", None)  # not called again
    again = probed(*words).record
    for record in (first, again):
        record.pop("seconds")
        for found in record["places"]["layer02"]["arms"].values():
            found.pop("seconds")
            for outcome in found["probes"].values():
                outcome.pop("seconds")
    assert first == again


def test_features_are_those_of_single_rows(configured: Callable[..., dict[str, Any]]) -> None:
    config = configured("data.max_train_examples=20")
    encoder, tokenizer = load_pretrained(config)
    data = build_data(config, tokenizer, packed=encoder.can_pack)
    found = read_features(encoder, data, ["last"], cache=Path(config["paths"]["cache"]), device=torch.device("cpu"))[0]
    assert isinstance(found, Features)
    assert found.place == "layer02"
    alone = build_data({**config, "data": {**config["data"], "eval_batch_size": 1}}, tokenizer, packed=False)
    encoder.eval()
    with torch.no_grad():
        expected = torch.cat([encoder(batch).cls for batch in alone.val_dataloader()]).numpy()
    np.testing.assert_allclose(found.rows["select"], expected, atol=1e-5)
    assert len(found.rows["train"]) == 20


def test_the_cache_depends_on_rows_weights_and_place(configured: Callable[..., dict[str, Any]]) -> None:
    keys = set()
    for words in ((), ("data.max_train_examples=20",), ("data.max_length=8",)):
        config = configured(*words)
        encoder, tokenizer = load_pretrained(config)
        data = build_data(config, tokenizer, packed=False)
        keys |= {feature_cache._key(encoder, data, place) for place in ("layer01", "layer02")}
    assert len(keys) == 6
    assert resolved("last", encoder) == "layer02"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("probes=[rigde]",), "Did you mean 'ridge'"),
        (("probes=ridge",), "all or a list"),
        (("normalizers=zca",), "all or a list"),
        (("normalizers=[zca_whitenin]",), "Did you mean 'zca_whitening'"),
        (("places=[layer09]",), "layer02"),
        (("places=layer01",), "a list of places"),
        (("folds=1",), "from 2 to 20"),
        (("leak=1",), "true or false"),
        (("shots=500", "probes=[few_shot]"), "the smallest class has"),
    ],
)
def test_refusals_are_one_line(probed: Probed, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("[", r"\[")) as caught:
        probed(*words)
    assert "\n" not in str(caught.value)


def test_too_few_rows_for_draws_only_leave_few_shot_out(probed: Probed) -> None:
    record = probed("shots=500", "normalizers=[scale]", "folds=2").record
    assert "few_shot" not in record["places"]["layer02"]["arms"]["identity"]["probes"]


def test_numbers_have_ridge_only(probed: Probed, workspace: Path) -> None:
    lines = ["text\tscore", *(f"a{'b' * (row % 7)} {row}\t{row % 7 + 0.5}" for row in range(250))]
    (workspace / "numbers.tsv").write_text("\n".join(lines))
    words = [f"data.train={workspace}/numbers.tsv", "data.report=null", "data.text=[text]", "data.label=score"]
    words += ["data.task=regression"]
    found = probed(*words, "normalizers=[standardize]").record["places"]["layer02"]
    assert set(found["arms"]["identity"]["probes"]) == {"ridge"}
    with pytest.raises(InputError, match="Numbers can be predicted by ridge only"):
        probed(*words, "probes=[knn]")


def test_hashes_depend_on_options_and_normalizers(configured: Callable[..., dict[str, Any]]) -> None:
    hashes = [
        configured(*words)["config_hash"] for words in ((), ("folds=4",), ("normalizers=[scale]",), ("leak=true",))
    ]
    assert len(set(hashes)) == 4
    assert configured("accelerator=auto")["config_hash"] == hashes[0]


@pytest.mark.parametrize(
    ("found", "beyond"),
    [({"p_holm": 0.01, "low": -1, "high": 1}, True), ({"p_holm": 0.2, "low": 1, "high": 2}, False),
     ({"p": None, "low": 0.1, "high": 2}, True), ({"p": None, "low": -0.1, "high": 2}, False)],
)  # fmt: skip
def test_what_is_beyond_noise(found: dict[str, Any], beyond: bool) -> None:
    assert is_beyond_noise(found) == beyond


def test_a_page_names_fits_without_a_certificate(probed: Probed) -> None:
    done = probed("normalizers=[scale]", "probes=[logistic]")
    record = json.loads(json.dumps(done.record))
    outcome = record["places"]["layer02"]["arms"]["scale"]["probes"]["logistic"]
    outcome["certificate"] |= {"verdict": "not converged", "gap": 0.25}
    write_probe_page(done.folder, record)
    assert "logistic of scale is not proven to be at its optimum: gap 0.25" in (done.folder / "probes.html").read_text()
    assert "gap" in probe_csv(record)


@pytest.mark.slow
def test_the_command_finds_what_is_done(workspace: Path, tiny_overrides: list[str]) -> None:
    words = [word for word in tiny_overrides if word.startswith(("data", "model")) and "batch_size" not in word]
    typed = [sys.executable, "-m", "clsnorm.probes", *words, "normalizers=[scale]", "probes=[ridge]", "accelerator=cpu"]
    first, again = (subprocess.run(typed, capture_output=True, text=True, check=False) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert "done before" in again.stdout + again.stderr
    assert len(list(workspace.glob("probes/*/probes.html"))) == 1
    refused = subprocess.run([*typed, "folds=0"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
