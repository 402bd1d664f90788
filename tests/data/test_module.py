from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clsnorm.data import labels as labelling
from clsnorm.data.cache import Cache
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
    assert data.source_record["truncation"] == "longest_first"


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


@pytest.mark.parametrize("extension", ["csv", "tsv", "jsonl", "ndjson", "parquet"])
def test_kinds_of_files_agree(user_files: Build, tmp_path: Path, two_classes: Build, extension: str) -> None:
    import pandas as pd

    frame = pd.DataFrame(two_classes(30), columns=["text", "label"])
    path = tmp_path / f"a.{extension}"
    {
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "ndjson": lambda: frame.to_json(path, orient="records", lines=True),
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
    entries = sorted((tmp_path / "cache" / "tokens").iterdir())
    assert len(entries) == 3  # train, select, report
    (rows,) = (tmp_path / "cache" / "rows").iterdir()
    for damage in (lambda f: f.write_bytes(f.read_bytes()[:-8]), lambda f: f.write_bytes(b""), lambda f: f.unlink()):
        for name in ("token_ids.npy", "record.json"):
            damage(entries[1] / name)
            assert again().fingerprint == module.fingerprint
            assert reads == []  # the rows are still there
        for name in ("train.arrow", "report.near.npy", "record.json"):
            damage(rows / name)
            damage(entries[0] / "labels.npy")
            assert again().fingerprint == module.fingerprint
            assert reads == ["train", "report"]
            reads.clear()
    assert sorted((tmp_path / "cache" / "tokens").iterdir()) == entries
    assert list((tmp_path / "cache" / "rows").iterdir()) == [rows]
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
        ([(i, "ab"[i % 2]) for i in range(20)], {}, "a text column holds numbers alone, such as '0'"),
        ([("", "a")], {}, "all 1 rows are empty"),
        ([], {}, "it has none"),
        ([("x", "a"), ("y", "a")], {}, "at least two classes in .*, but found only 'a'"),
        ([(f"t{i}", i / 7) for i in range(60)], {}, "found 60 different numbers in 60 rows. To predict a number, set"),
        ([*GOOD, ("x", "nan")], {"task": "regression"}, "Expected a finite number .* line 2: 'a'.*; and 16 more"),
        (GOOD, {"rows": {"train": 21}}, "Expected 21 rows in .*train.tsv, but found 20"),
        ([*GOOD, ("x", "1e300")], {"task": "regression"}, "Expected a finite number"),
        (GOOD, {"task": "regresion"}, "`data.task` to be one of .*. Did you mean 'regression'"),
        (GOOD, {"monitor": "acuracy"}, "`data.monitor` to be one of accuracy, but got 'acuracy'. Did you mean"),
        (GOOD, {"mode": "most"}, "`data.mode` to be one of max, min"),
        (GOOD, {"batch_size": 0}, "`data.batch_size` to be a positive integer, but got 0"),
        (GOOD, {"max_train_examples": -1}, "`data.max_train_examples` to be a positive"),
        (GOOD, {"max_train_examples": 1}, "`data.max_train_examples` to be at least 2, a row of each class, but got 1"),
        (GOOD, {"max_length": 2}, r"`data.max_length` to be in \[3, "),
        (GOOD, {"max_length": 10_000}, "its model reads at most"),
        (GOOD, {"labels": ["a", "a"]}, "two or more different classes"),
        (GOOD, {"labels": ["a", "b"], "task": "regression"}, "null for regression"),
        (GOOD, {"seed_order": -1}, "Expected seeds to be at least 0"),
        (GOOD, {"text": ["a", "b", "c"]}, "one column or two"),
        (
            GOOD,
            {"text": ["text", "label"]},
            "different columns, and not the label's, but got text=.*'label'.* label=label",
        ),
        (GOOD, {"text": ["text", "text"]}, "`text` to name different columns"),
        (GOOD, {"text": [["text", "text"]]}, "`text` to name different columns"),
        (GOOD, {"drop_leaked": "no"}, "`data.drop_leaked` to be true or false, but got 'no'"),
        (GOOD, {"packed": 2}, "`data.packed` to be true or false, but got 2"),
        (GOOD, {"header": "no"}, "`data.header` to be true, false or null, but got 'no'"),
        (GOOD, {"quoting": "off"}, "`data.quoting` to be true, false or null, but got 'off'"),
        (GOOD, {"header": False}, "numbers from 0 with data.header=false, but got text, label"),
        (GOOD, {"num_workers": -1}, "`data.num_workers` to be a whole number.*but got -1"),
        (GOOD, {"rows": {"trian": 3}}, "`data.rows` to be one of train, but got 'trian'. Did you mean 'train'"),
        (GOOD, {"rows": {"train": "20"}}, "`data.rows.train` to be a positive integer, but got '20'"),
        (GOOD, {"untrained": ["b"]}, r"`data.untrained` to be empty where data.labels is null, but got \['b'\]"),
        (GOOD, {"untrained": ["c"], "labels": ["a", "b"]}, "`data.untrained` to be one of a, b, but got 'c'"),
        (GOOD, {"select": "nowhere.tsv"}, "`data.select` to name files, but nowhere.tsv is not there"),
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
    with pytest.raises(InputError, match=r"files of its own for each split, each once, but .*train.tsv is named twice"):
        user_files(train, train)
    with pytest.raises(InputError, match="files of one kind"):
        user_files(train, write_tsv("a.xlsx", GOOD))


def test_labels_that_are_no_names_are_refused(user_files: Build, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"text": f"text {i}", "label": "ab"[i % 2]} for i in range(20)]
    for odd, told in ((float("nan"), "no label"), (["a"], "a list"), ({"a": 1}, "a dict"), (None, "no label")):
        path.write_text("\n".join(map(json.dumps, [*rows, {"text": "x", "label": odd}])))
        with pytest.raises(InputError, match=rf"Expected a label in each row in .*, but found line 21: {told}"):
            user_files(path).prepare()
    path.write_text("\n".join(json.dumps({"text": f"text {i}", "label": 3e38 if i else 1e39}) for i in range(20)))
    with pytest.raises(InputError, match=r"finite number to predict in each row in .*, but found line 1: 1e"):
        user_files(path, task="regression").prepare()


def test_faults_of_several_files_name_them_all(user_files: Build, write_tsv: Build) -> None:
    files = [str(write_tsv(f"{name}.tsv", GOOD)) for name in "ab"]
    with pytest.raises(InputError, match=r"Expected 50 rows in \S*a.tsv, \S*b.tsv, but found 40 \(20, 20\)"):
        user_files(files, rows={"train": 50}).prepare()
    files = [str(write_tsv(f"{name}.tsv", [("x", "a")] * 9)) for name in "cd"]
    with pytest.raises(InputError, match=r"two classes in \S*c.tsv, \S*d.tsv, but found only 'a'"):
        user_files(files).prepare()
    files = [str(write_tsv(f"{name}.tsv", [("", "a"), *GOOD])) for name in "ef"]
    with pytest.raises(InputError, match=r"of the rows of \S*e.tsv, \S*f.tsv to have an empty text, but 2 of 42 have"):
        user_files(files, max_empty=0.01).prepare()


def test_only_faults_that_are_shown_are_spelt_out(user_files: Build, write_tsv: Build, monkeypatch: Any) -> None:
    told: list[str] = []
    monkeypatch.setattr(labelling, "_unknown", lambda name, known: told.append(name) or name)
    with pytest.raises(InputError, match="and 95 more"):
        user_files(write_tsv("a.tsv", [*GOOD, *[("x", "c")] * 100]), labels=["a", "b"]).prepare()
    assert len(told) == 5


def test_json_numbers_are_no_text(user_files: Build, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": i, "label": i % 2}) for i in range(20)))
    with pytest.raises(InputError, match=r"Expected text in the text column in .*, but found line 1: 0; line 2: 1;"):
        user_files(path).prepare()


def test_a_cache_that_cannot_be_written(user_files: Build, write_tsv: Build, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"Cannot write to the cache .*Set paths.cache"):
        user_files(write_tsv("a.tsv", GOOD), cache=str(tmp_path / "file")).prepare()


def test_a_sound_entry_that_another_process_wrote_first_stays(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    with cache.draft("k" * 64) as (mine, record):
        (mine / "a.npy").write_bytes(b"mine")
        with cache.draft("k" * 64) as (other, _):
            (other / "a.npy").write_bytes(b"other")
        record["late"] = True
    found = cache.get("k" * 64)
    assert found is not None
    folder, record = found
    assert (folder / "a.npy").read_bytes() == b"other"
    assert record == {}
    assert list(cache.folder.iterdir()) == [folder]


def test_a_draft_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    cache = Cache(tmp_path / "cache" / "rows")

    def interrupted() -> None:
        with cache.draft("k") as (folder, _):
            (folder / "a.npy").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cache.get("k") is None
    assert list(tmp_path.iterdir()) == [tmp_path / "other"]


def test_a_full_disk_is_told_in_one_line(user_files: Build, write_tsv: Build, monkeypatch: Any) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(InputError, match=r"Cannot write to the cache .*: No space left on device. Set paths.cache"):
        user_files(write_tsv("a.tsv", GOOD)).prepare()


def test_drafts_of_processes_that_were_killed_are_removed(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from clsnorm.data.cache import Cache\n"
        "with Cache(Path(sys.argv[1])).draft('k'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    (abandoned,) = tmp_path.iterdir()
    cache = Cache(tmp_path)
    with cache.draft("a"), cache.draft("b"):  # a living process's own stays
        assert len(list(tmp_path.iterdir())) == 2
        assert not abandoned.exists()


def test_a_small_subset_is_tokenized_alone(
    user_files: Build, write_tsv: Build, two_classes: Build, tmp_path: Path
) -> None:
    path = write_tsv("a.tsv", two_classes(600))

    def prepared(name: str, **options: Any) -> Any:
        data = user_files(path, cache=str(tmp_path / name), **options)
        data.prepare()
        return data

    everything = prepared("whole")
    assert everything.train_size == 200
    few, few_of_all = (prepared(name, max_train_examples=50) for name in ("few", "whole"))
    assert (len(few._tokens["train"]), len(few_of_all._tokens["train"])) == (50, 200)
    assert few.fingerprint == few_of_all.fingerprint != everything.fingerprint
    assert few.source_record == few_of_all.source_record
    assert few.source_record["rows"] == everything.source_record["rows"]
    for a, b in zip(few.train_dataloader(), few_of_all.train_dataloader(), strict=True):
        assert a.example_ids.tolist() == b.example_ids.tolist()
        assert a.token_ids.tolist() == b.token_ids.tolist()
        assert a.labels.tolist() == b.labels.tolist()
    assert len(prepared("few", max_train_examples=50, seed_subset=1)._tokens["train"]) == 50
    assert len(prepared("few", max_train_examples=120)._tokens["train"]) == 200
    entries = list((tmp_path / "few" / "tokens").iterdir())
    assert len(entries) == 5  # two subsets, all of train, select, report


def test_a_subset_drawn_under_other_classes_that_may_lack_rows_is_another(user_files: Build, write_tsv: Build) -> None:
    path = write_tsv("a.tsv", [*((f"film {i}", "ab"[i % 2]) for i in range(600)), ("rare", "c"), ("rarer", "c")])
    names = ["a", "b", "c"]
    few = user_files(path, labels=names, untrained=["c"], shots_per_class=20)
    few.prepare()
    assert np.bincount(few.labels_of("train"))[2] < 20
    with pytest.raises(InputError, match=r"have fewer: c"):
        user_files(path, labels=names, shots_per_class=20).prepare()


def test_the_fingerprint_is_of_the_rows_and_not_of_where_they_came_from(
    user_files: Build, write_tsv: Build, two_classes: Build
) -> None:
    def fingerprint(name: str, rows: list[tuple[str, str]], header: tuple[str, str] = ("text", "label")) -> str:
        data = user_files(write_tsv(name, rows, header), text=header[0], label=header[1], max_train_examples=50)
        data.prepare()
        return data.fingerprint

    rows = two_classes(60)
    base = fingerprint("a.tsv", rows)
    assert fingerprint("b.tsv", rows, ("sentence", "class")) == base
    assert fingerprint("c.tsv", [("another film", "neg"), *rows[1:]]) != base
    assert fingerprint("d.tsv", [(rows[0][0], "pos"), *rows[1:]]) != base


def test_shots_and_noise_reach_all_that_asks_for_labels(
    user_files: Build, write_tsv: Build, two_classes: Build
) -> None:
    path = write_tsv("a.tsv", two_classes(600))

    def prepared(**options: Any) -> Any:
        data = user_files(path, **options)
        data.prepare()
        return data

    clean = prepared(shots_per_class=30)
    assert np.bincount(clean.labels_of("train")).tolist() == [30, 30]
    assert clean.source_record["subset"] == {"size": None, "shots": 30, "seed": 0, "rows": 60}
    assert clean.source_record["label_noise"] == {"share": 0.0, "seed": 0, "rows": 0}
    noisy = prepared(shots_per_class=30, label_noise=0.25)
    assert noisy.source_record["label_noise"] == {"share": 0.25, "seed": 0, "rows": 15}
    assert (noisy.labels_of("train") != clean.labels_of("train")).sum() == 15
    assert noisy.fingerprint != clean.fingerprint != prepared(shots_per_class=30, seed_subset=1).fingerprint
    assert noisy.fingerprint != prepared(shots_per_class=30, label_noise=0.25, seed_noise=1).fingerprint
    for split in ("select", "report"):
        assert (noisy.labels_of(split) == clean.labels_of(split)).all()
    for loader in (noisy.train_dataloader(), noisy.calibration_dataloader()):
        given = dict(
            zip(*(torch.cat([getattr(b, n) for b in loader]).tolist() for n in ("example_ids", "labels")), strict=True)
        )
        ids = noisy._tokens["train"].example_ids[noisy._kept].tolist()
        assert [given[i] for i in ids] == noisy.labels_of("train").tolist()
    upside_down = prepared(label_noise=1.0)
    assert upside_down.majority() == 1 - prepared().majority()


def test_leaks_are_counted_and_dropped_if_asked(
    user_files: Build, write_tsv: Build, two_classes: Build, caplog: pytest.LogCaptureFixture
) -> None:
    rows = two_classes(60)
    copies = [rows[0], (rows[1][0].upper() + " !", rows[1][1]), (rows[3][0], "pos"), ("something new", "neg")]
    train, report = write_tsv("train.tsv", [*rows, (rows[7][0] + ".", "neg")]), write_tsv("report.tsv", copies)
    select = str(write_tsv("select.tsv", two_classes(90)[60:]))
    data = user_files(train, report, select=select)
    with caplog.at_level("INFO", "clsnorm"):
        data.prepare()
    copied = {"exact": 2, "exact_relabelled": 1, "near": 3, "near_relabelled": 1, "near_select": 0}
    assert data.source_record["copies"]["report"] == copied
    assert data.source_record["copies"]["train"] == {
        "exact": 0, "exact_relabelled": 0, "near": 1, "near_relabelled": 2
    }  # fmt: skip
    assert data.source_record["leaked"] == {"report": 2, "select": 0}
    assert "3 of 4 rows of report stand in train too (letter for letter: 2); with another label: 1" in caplog.text
    assert "1 of 61 rows of train repeat an earlier one (letter for letter: 0); with another label: 2" in caplog.text
    without = user_files(train, report, select=select, drop_leaked=True)
    with caplog.at_level("INFO", "clsnorm"):
        without.prepare()
    assert without.source_record["drops"] == {"train": {"leaked": 3}}
    assert "dropped 3 rows of train: leaked 3" in caplog.text
    assert without.source_record["copies"]["report"]["near"] == 0
    assert set(without._tokens["train"].example_ids.tolist()) == set(range(61)) - {0, 1, 3}
    assert without.fingerprint != data.fingerprint


def test_carving_keeps_near_copies_together_if_leaks_are_dropped(user_files: Build, write_tsv: Build) -> None:
    texts = [f"film {i // 2}{'.' * (i % 2)}" for i in range(400)]
    path = write_tsv("a.tsv", [(text, "ab"[i // 2 % 2]) for i, text in enumerate(texts)])
    data, without = user_files(path), user_files(path, drop_leaked=True)
    for one in (data, without):
        one.prepare()
    assert data.source_record["copies"]["report"]["near"] > 0
    assert [counts["near"] for counts in without.source_record["copies"].values()][1:] == [0, 0]
    assert without.source_record["drops"] == {}


def test_rows_cut_short_are_counted_among_those_used(
    user_files: Build, write_tsv: Build, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [(f"text {'word ' * (i % 20)}{i}", "ab"[i % 2]) for i in range(400)]
    data = user_files(write_tsv("a.tsv", rows), max_length=12, max_train_examples=40)
    with caplog.at_level("INFO", "clsnorm"):
        data.prepare()
    lengths = {i: len(data.tokenizer(text)["input_ids"]) for i, (text, _) in enumerate(rows)}
    for split, rows_used in (("train", data._kept), ("report", slice(None))):
        ids = data._tokens[split].example_ids[rows_used].tolist()
        cut = sum(lengths[i] > 12 for i in ids)
        assert data.source_record["truncated"][split] == cut > 0
        assert data.source_record["truncated_share"][split] == pytest.approx(cut / len(ids))
        assert f"{cut} rows of {split} ({cut / len(ids):.1%}) are longer than data.max_length" in caplog.text


def test_a_tokenizer_that_does_not_know_the_text_is_warned_of(
    user_files: Build, write_tsv: Build, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [(f"𓀀𓀁 𓂀 {i}" if i % 2 else f"𓁐 𓃒 {i}", "ab"[i % 2]) for i in range(60)]
    data = user_files(write_tsv("a.tsv", rows))
    data.prepare()
    share = data.source_record["unknown_share"]["train"]
    assert 0.5 < share < 0.8
    assert f"it does not know {share:.0%} of the tokens of train" in caplog.text
    assert [record.levelname for record in caplog.records if "tokenizer" in record.message] == ["WARNING"] * 3


def test_codes_are_understood_only_for_stated_names(user_files: Build, write_tsv: Build, two_classes: Build) -> None:
    named, coded = two_classes(40), [(text, int(label == "pos")) for text, label in two_classes(20)]
    train, report = write_tsv("train.tsv", named), write_tsv("report.tsv", coded)
    with pytest.raises(InputError, match=r"among neg, pos in \S*report.tsv, but found line 2: unknown label '0'"):
        user_files(train, report).prepare()
    data = user_files(train, report, labels=["neg", "pos"])
    data.prepare()
    assert data.labels_of("report").tolist() == [label for _, label in coded]


def test_a_class_without_a_row_in_train_or_in_report(user_files: Build, write_tsv: Build, two_classes: Build) -> None:
    train = write_tsv("train.tsv", two_classes(60))
    report = write_tsv("report.tsv", [("x", "neg"), ("y", "other")])
    names = ["neg", "pos", "other"]
    with pytest.raises(InputError, match="each class in the train split, but 30 rows hold none of: other"):
        user_files(train, report, labels=names).prepare()
    data = user_files(train, report, labels=names, untrained=["other"], allow_absent=True)
    data.prepare()
    assert data.labels_of("report").tolist() == [0, 2]  # no row is positive, and that is no fault
    assert data.num_outputs == 3
    for cached in (False, True):
        with pytest.raises(
            InputError,
            match=r"in the report split, but 2 rows hold none of: pos\. Give more.*set data.allow_absent=true",
        ):
            user_files(train, report, labels=names, untrained=["other"], max_length=16 + (not cached)).prepare()


def test_a_class_of_one_row_stays_in_train_and_its_absence_elsewhere_is_told(
    user_files: Build, write_tsv: Build, caplog: pytest.LogCaptureFixture
) -> None:
    data = user_files(write_tsv("train.tsv", [*GOOD, ("one of its kind", "rare")]))
    with caplog.at_level("INFO"):
        data.prepare()
    assert np.bincount(data.labels_of("train"))[2] == 1
    assert data.source_record["absent"] == {"select": ["rare"], "report": ["rare"]}
    assert "no row of select is of class rare" in caplog.text


def test_shots_and_noise_leave_out_classes_that_cannot_be_learned(
    user_files: Build, write_tsv: Build, two_classes: Build
) -> None:
    train = write_tsv("train.tsv", two_classes(60))
    names = ["neg", "other", "pos"]
    data = user_files(train, labels=names, untrained=["other"], shots_per_class=3, label_noise=1.0)
    data.prepare()
    assert np.bincount(data.labels_of("train")).tolist() == [3, 0, 3]


def test_many_empty_texts_are_refused(user_files: Build, write_tsv: Build, two_classes: Build) -> None:
    path = write_tsv("a.tsv", [("", "pos"), *two_classes(60)])
    with pytest.raises(InputError, match=r"at most 0.01 of the rows of \S*a.tsv .* but 1 of 61 have.*data.max_empty"):
        user_files(path, max_empty=0.01).prepare()
    user_files(path, max_empty=0.02).prepare()


def test_half_a_surrogate_pair_is_refused(user_files: Build, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a \\ud83d b", "label": "x"}\n{"text": "c", "label": "y"}\n')
    with pytest.raises(InputError, match=r"line 1: half of a surrogate pair"):
        user_files(path).prepare()
