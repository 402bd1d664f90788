from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clsnorm.errors import InputError

Build = Callable[..., Any]


@pytest.fixture
def module(user_files: Build, write_tsv: Build, two_classes: Build) -> Any:
    rows = two_classes(60)
    data = user_files(write_tsv("train.tsv", rows), write_tsv("report.tsv", rows[:7]))
    data.prepare()
    return data


def test_what_it_offers(module: Any) -> None:
    assert module.labels == ["neg", "pos"]
    assert (module.num_outputs, module.regression, module.monitor, module.mode) == (2, False, "accuracy", "max")
    assert (module.train_size, module.steps_per_epoch) == (30, 4)
    assert module.majority() == 1
    assert module.report_names == ["report"]
    record = module.source_record
    assert record["kind"] == "files"
    assert record["rows"] == {"train": 30, "select": 30, "report": 7}
    assert record["published"] == {"train": 60, "report": 7}
    assert 0 < record["leaked"]["report"] <= 7
    assert record["leaked"]["select"] == 0
    assert len(module.labels_of("train")) == 30
    json.dumps(record)


def test_packed_and_padded_hold_the_same(module: Any, user_files: Build, tokenizer: Any, tmp_path: Path) -> None:
    padded = user_files(tmp_path / "train.tsv", tmp_path / "report.tsv", packed=False)
    padded.prepare()
    for a, b in zip(module.train_dataloader(), padded.train_dataloader(), strict=True):
        mask = b.mask
        assert a.packed
        assert a.token_ids.shape == (1, int(a.lengths.sum()))
        for name in ("token_ids", "positions", "segment_ids"):
            torch.testing.assert_close(getattr(a, name)[0], getattr(b, name)[mask])
        assert (b.token_ids[~mask] == tokenizer.pad_token_id).all()
        for name in ("lengths", "labels", "example_ids"):
            torch.testing.assert_close(getattr(a, name), getattr(b, name))
        assert a.global_size == b.global_size == len(a)


def test_batches_hold_what_the_tokenizer_makes(user_files: Build, write_tsv: Build, tokenizer: Any) -> None:
    rows = [(f"one {'a ' * (i % 9)}", f"two {'b ' * (i % 13)} {i}", "yn"[i % 2]) for i in range(40)]
    path = write_tsv("pairs.tsv", rows, header=("x", "y", "z"))
    data = user_files(path, text=["x", "y"], label="z", max_length=14)
    data.prepare()
    seen = 0
    for loader in (data.calibration_dataloader(), data.val_dataloader(), *data.test_dataloader()):
        for batch in loader:
            for n, (start, length) in enumerate(zip(batch.starts, batch.lengths, strict=True)):
                x, y, z = rows[batch.example_ids[n]]
                expected = tokenizer(x, y, truncation="longest_first", max_length=14)
                part = slice(start, start + length)
                assert batch.token_ids[0, part].tolist() == expected["input_ids"]
                assert batch.segment_ids[0, part].tolist() == expected["token_type_ids"]
                assert batch.positions[0, part].tolist() == list(range(length))
                assert data.labels[batch.labels[n]] == z
                seen += 1
    assert seen == 40
    cut = sum(len(tokenizer(x, y)["input_ids"]) > 14 for x, y, _ in rows)
    assert sum(data.source_record["truncated"].values()) == cut > 0


@pytest.mark.parametrize("world", [2, 3, 11])
def test_ranks_share_batches(module: Any, user_files: Build, tmp_path: Path, world: int) -> None:
    ranks = [
        user_files(tmp_path / "train.tsv", tmp_path / "report.tsv", rank=r, world_size=world) for r in range(world)
    ]
    for rank in ranks:
        rank.prepare()
        assert rank.fingerprint == module.fingerprint
    for make in ("train_dataloader", "val_dataloader", "calibration_dataloader"):
        one = list(getattr(module, make)())
        parts = [list(getattr(rank, make)()) for rank in ranks]
        for b, batch in enumerate(one):
            joined = torch.cat([p[b].token_ids for p in parts], dim=1)
            torch.testing.assert_close(joined, batch.token_ids)
            assert {p[b].global_size for p in parts} == {len(batch)}
            assert torch.cat([p[b].example_ids for p in parts]).tolist() == batch.example_ids.tolist()


def test_an_empty_part_is_a_batch(user_files: Build, module: Any, tmp_path: Path) -> None:
    for packed, shape in ((True, (1, 0)), (False, (0, 0))):
        data = user_files(tmp_path / "train.tsv", tmp_path / "report.tsv", rank=8, world_size=9, packed=packed)
        data.prepare()
        batch = next(iter(data.train_dataloader()))
        assert len(batch) == 0
        assert batch.token_ids.shape == shape
        assert (batch.global_size, batch.labels.dtype) == (8, torch.int64)


def test_resume_at(module: Any) -> None:
    whole = module.train_dataloader()
    whole.batch_sampler.set_epoch(2)
    expected = [batch.example_ids.tolist() for batch in whole]
    module.resume_at(2, 3)
    loader = module.train_dataloader()
    loader.load_state_dict(loader.state_dict())
    assert [batch.example_ids.tolist() for batch in loader] == expected[3:]
    assert len(loader) == 4


def test_seeds_are_separate_streams(module: Any, user_files: Build, tmp_path: Path) -> None:
    def ids(**options: Any) -> list[int]:
        data = user_files(tmp_path / "train.tsv", tmp_path / "report.tsv", **options)
        data.prepare()
        return [i for batch in data.train_dataloader() for i in batch.example_ids.tolist()]

    base = ids(max_train_examples=20)
    assert len(base) == 20
    moved = ids(max_train_examples=20, seed_order=1)
    assert moved != base
    assert set(moved) == set(base)
    assert set(ids(max_train_examples=20, seed_subset=1)) != set(base)
    assert set(base) < set(ids(max_train_examples=25))
    assert len(ids(max_train_examples=10**6)) == 30


def test_regression(user_files: Build, write_tsv: Build) -> None:
    path = write_tsv("n.tsv", [(f"text {i}", i / 10) for i in range(50)])
    data = user_files(path, task="regression")
    data.prepare()
    assert (data.labels, data.num_outputs, data.monitor) == (None, 1, "pearson")
    assert data.majority() == pytest.approx(data.labels_of("train").mean(), rel=1e-6)
    batch = next(iter(data.train_dataloader()))
    assert batch.labels.dtype == torch.float32
    assert batch.labels.tolist() == pytest.approx([i / 10 for i in batch.example_ids.tolist()])


@pytest.mark.parametrize("extension", ["csv", "tsv", "jsonl", "parquet"])
def test_kinds_of_files_agree(user_files: Build, tmp_path: Path, two_classes: Build, extension: str) -> None:
    import pandas as pd

    frame = pd.DataFrame(two_classes(30), columns=["text", "label"])
    path = tmp_path / f"a.{extension}"
    {
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(path),
    }[extension]()
    data = user_files(path, text=["text"])
    data.prepare()
    for batch in data.calibration_dataloader():
        assert [("neg", "pos")[i] for i in batch.labels] == [frame.label[i] for i in batch.example_ids.tolist()]


def test_labels_by_name_code_or_number(user_files: Build, tmp_path: Path) -> None:
    for name, labels, expected in [("codes", [0, 1], ["no", "yes"]), ("names", ["no", "yes"], ["no", "yes"])]:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(json.dumps({"text": f"t {i}", "label": labels[i % 2]}) for i in range(20)))
        data = user_files(path, labels=expected)
        data.prepare()
        batch = next(iter(data.train_dataloader()))
        assert batch.labels.tolist() == [i % 2 for i in batch.example_ids.tolist()]
    path.write_text("\n".join(json.dumps({"text": f"t {i}", "label": [9, 10, True][i % 3]}) for i in range(30)))
    data = user_files(path)
    data.prepare()
    assert data.labels == ["10", "9", "true"]


def test_published_select_is_used(user_files: Build, write_tsv: Build, two_classes: Build) -> None:
    rows = two_classes(40)
    data = user_files(
        write_tsv("a.tsv", rows),
        write_tsv("b.tsv", rows[:6]),
        select=str(write_tsv("c.tsv", rows[:9])),
        rows={"select": 9},
    )
    data.prepare()
    assert data.source_record["rows"] == {"train": 40, "select": 9, "report": 6}


def test_empty_texts_are_dropped_and_counted(user_files: Build, write_tsv: Build, two_classes: Build) -> None:
    data = user_files(write_tsv("a.tsv", [("", "pos"), ("  ", "neg"), *two_classes(30)]))
    data.prepare()
    assert data.source_record["drops"] == {"train": {"empty text": 2}}
    assert min(batch.example_ids.min() for batch in data.calibration_dataloader()) >= 2


def test_the_cache_spares_reading(module: Any, user_files: Build, tmp_path: Path, monkeypatch: Any) -> None:
    from clsnorm.data.sources import FilesSource

    def again() -> Any:
        data = user_files(tmp_path / "train.tsv", tmp_path / "report.tsv")
        data.prepare()
        return data

    reads: list[str] = []
    original = FilesSource.read
    monkeypatch.setattr(FilesSource, "read", lambda self, root, s: reads.append(s) or original(self, root, s))
    assert again().fingerprint == module.fingerprint
    assert reads == []
    (entry,) = (tmp_path / "cache" / "tokens").iterdir()
    for damage in (lambda f: f.write_bytes(f.read_bytes()[:-8]), lambda f: f.write_bytes(b""), lambda f: f.unlink()):
        for name in ("train.arrow", "record.json"):
            damage(entry / name)
            reads.clear()
            assert again().fingerprint == module.fingerprint
            assert reads == ["train", "report"]
    assert [path.name for path in (tmp_path / "cache" / "tokens").iterdir()] == [entry.name]
    with (tmp_path / "train.tsv").open("a") as file:
        file.write("one more\tpos\n")
    assert again().fingerprint != module.fingerprint


def test_the_tokenizer_s_own_state_does_not_move_the_key(tokenizer: Any) -> None:
    from clsnorm.data.tokens import tokenizer_fingerprint

    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["a", "a b c"], padding=True, truncation=True, max_length=4)
    assert tokenizer_fingerprint(tokenizer) == before


def test_tokens_are_mapped_from_disk(module: Any) -> None:
    assert not module._tokens["train"].token_ids.flags.writeable
    assert module._tokens["train"].token_ids.dtype == np.int32


def test_workers_load_the_same(module: Any) -> None:
    expected = [batch.token_ids.tolist() for batch in module.train_dataloader()]
    module.num_workers = 1
    assert [batch.token_ids.tolist() for batch in module.train_dataloader()] == expected


GOOD = [(f"text {i}", "ab"[i % 2]) for i in range(20)]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (GOOD, {"text": "txet"}, "Expected column 'txet' in .*train.tsv, but it has: text, label. Did you mean 'text'"),
        (GOOD, {"label": "lable"}, "Expected column 'lable'"),
        (GOOD, {"labels": ["a", "c"]}, "among a, c in .*train.tsv, but found line 3: unknown label 'b'.*; and 5 more"),
        (GOOD, {"labels": ["a", "b", "c"]}, "Expected each class in the train split, but 5 rows hold none of: c"),
        ([*GOOD, ("x", "")], {"labels": ["a", "b"]}, "line 22: no label"),
        ([*GOOD, ("x", "c")], {}, "hold none of: c. Give more rows"),
        ([(i, "ab"[i % 2]) for i in range(20)], {}, "a text column holds numbers alone, such as '0'"),
        ([("", "a")], {}, "all 1 rows are empty"),
        ([], {}, "it has none"),
        ([("x", "a"), ("y", "a")], {}, "at least two classes in .*, but found only 'a'"),
        ([(f"t{i}", i / 7) for i in range(60)], {}, "found 60 different numbers in 60 rows. To predict a number, set"),
        ([*GOOD, ("x", "nan")], {"task": "regression"}, "Expected a finite number .* line 2: 'a'.*; and 16 more"),
        (GOOD, {"rows": {"train": 21}}, "Expected 21 rows in .*train.tsv, but found 20"),
        (GOOD, {"task": "regresion"}, "`data.task` to be one of .*. Did you mean 'regression'"),
        (GOOD, {"monitor": "acuracy"}, "`data.monitor` to be one of accuracy, but got 'acuracy'. Did you mean"),
        (GOOD, {"mode": "most"}, "`data.mode` to be one of max, min"),
        (GOOD, {"batch_size": 0}, "`data.batch_size` to be a positive integer, but got 0"),
        (GOOD, {"max_train_examples": -1}, "`data.max_train_examples` to be a positive"),
        (GOOD, {"max_train_examples": 1}, "Expected each class in the train split"),
        (GOOD, {"max_length": 2}, r"`data.max_length` to be in \[3, "),
        (GOOD, {"max_length": 10_000}, "its model reads at most"),
        (GOOD, {"labels": ["a", "a"]}, "two or more different classes"),
        (GOOD, {"labels": ["a", "b"], "task": "regression"}, "null for regression"),
        (GOOD, {"seed_order": -1}, "Expected seeds to be at least 0"),
        (GOOD, {"text": ["a", "b", "c"]}, "one column or two"),
        (GOOD, {"select": "nowhere.tsv"}, "`data.select` to be a file, but nowhere.tsv is not there"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    user_files: Build, write_tsv: Build, rows: Any, options: dict[str, Any], message: str
) -> None:
    path = write_tsv("train.tsv", rows)
    with pytest.raises(InputError, match=message) as caught:
        user_files(path, **options).prepare()
    assert "\n" not in str(caught.value)


def test_faults_of_report_are_found_before_training(user_files: Build, write_tsv: Build) -> None:
    train = write_tsv("train.tsv", GOOD)
    with pytest.raises(InputError, match=r"bad.tsv, but found line 4: unknown label 'q'"):
        user_files(train, write_tsv("bad.tsv", [("x", "a"), ("y", "b"), ("z", "q")])).prepare()
    with pytest.raises(InputError, match="Expected each class in the report split"):
        user_files(train, write_tsv("one.tsv", [("x", "a")])).prepare()
    with pytest.raises(InputError, match="a file of its own for each split"):
        user_files(train, train)
    with pytest.raises(InputError, match="files of one kind"):
        user_files(train, write_tsv("a.xlsx", GOOD))


def test_json_numbers_are_no_text(user_files: Build, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": i, "label": i % 2}) for i in range(20)))
    with pytest.raises(InputError, match=r"Expected text in the text column in .*, but found line 1: 0; line 2: 1;"):
        user_files(path).prepare()


def test_a_cache_that_cannot_be_written(user_files: Build, write_tsv: Build, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"Cannot write to the cache .*Set paths.cache"):
        user_files(write_tsv("a.tsv", GOOD), cache=str(tmp_path / "file")).prepare()


def test_a_sound_entry_that_another_process_wrote_first_stays(module: Any, tmp_path: Path) -> None:
    cache = module.token_cache
    (entry,) = cache.folder.iterdir()
    key = json.loads((entry / "record.json").read_text())["key"]
    before = (entry / "train.arrow").stat().st_ino
    cache.put(key, module._tokens, {})
    assert [path.name for path in cache.folder.iterdir()] == [entry.name]
    assert (entry / "train.arrow").stat().st_ino == before
