"""Rows and tokens are cached once, complete, and found by a key of their inputs."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clsnorm.data.tokens.preparation import Preparation
from clsnorm.errors import InputError

Build = Callable[..., Any]
ROWS = [(f"text {i}", "ab"[i % 2]) for i in range(20)]


def test_cached_rows_and_tokens_are_not_read_again(
    module: Any, user_files: Build, tmp_path: Path, monkeypatch: Any
) -> None:
    from clsnorm.data.sources.files_source import FilesSource

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
        for name in ("token_ids", "labels.npy", "record.json"):
            damage(entries[1] / name)
            assert again().fingerprint == module.fingerprint
            assert reads == []  # the rows still exist
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


def test_the_tokenizer_s_state_is_not_part_of_the_key(tokenizer: Any) -> None:
    from clsnorm.data.tokens.tokenization import tokenizer_fingerprint

    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["a", "a b c"], padding=True, truncation=True, max_length=4)
    assert tokenizer_fingerprint(tokenizer) == before


def test_tokens_are_mapped_from_disk(module: Any) -> None:
    assert not module._tokens["train"].token_ids.flags.writeable
    assert module._tokens["train"].token_ids.dtype == np.int32


def test_a_cache_that_cannot_be_written(user_files: Build, write_tsv: Build, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"Cannot write to the cache .*Set paths.cache"):
        user_files(write_tsv("a.tsv", ROWS), cache=str(tmp_path / "file")).prepare()


def test_a_full_disk_is_reported_in_one_line(user_files: Build, write_tsv: Build, monkeypatch: Any) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(InputError, match=r"Cannot write to the cache .*: No space left on device. Set paths.cache"):
        user_files(write_tsv("a.tsv", ROWS)).prepare()


def test_a_small_subset_is_tokenized_without_the_other_rows(
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


def test_the_key_of_a_subset_depends_on_the_untrained_classes(user_files: Build, write_tsv: Build) -> None:
    path = write_tsv("a.tsv", [*((f"film {i}", "ab"[i % 2]) for i in range(600)), ("rare", "c"), ("rarer", "c")])
    names = ["a", "b", "c"]
    few = user_files(path, labels=names, untrained=["c"], shots_per_class=20)
    few.prepare()
    assert np.bincount(few.labels_of("train"))[2] < 20
    with pytest.raises(InputError, match=r"have fewer: c"):
        user_files(path, labels=names, shots_per_class=20).prepare()


def test_the_fingerprint_depends_on_the_rows_but_not_on_their_file(
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


def test_a_preparation_returns_the_same_rows_from_source_and_cache(module: Any, tmp_path: Path) -> None:
    (source,) = module.sources.values()
    cold: Preparation = module._preparation(source)
    assert isinstance(cold, Preparation)
    first, second = (replace(cold, cache=tmp_path / "other").run(module.subset) for _ in range(2))
    assert first.fingerprint() == second.fingerprint() == module.fingerprint
    assert (first.labels, first.record, first.content) == (second.labels, second.record, second.content)
