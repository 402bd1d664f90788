"""The data module: splits, batches, streams."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Build = Callable[..., Any]


def test_public_attributes(module: Any) -> None:
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


def test_batches_equal_the_tokenizer_s_output(user_files: Build, write_tsv: Build, tokenizer: Any) -> None:
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


def test_an_empty_part_is_a_valid_batch(user_files: Build, module: Any, tmp_path: Path) -> None:
    for packed, shape in ((True, (1, 0)), (False, (0, 0))):
        data = user_files(tmp_path / "train.tsv", tmp_path / "report.tsv", rank=8, world_size=9, packed=packed)
        data.prepare()
        batch = next(iter(data.train_dataloader()))
        assert len(batch) == 0
        assert batch.token_ids.shape == shape
        assert (batch.global_size, batch.labels.dtype) == (8, torch.int64)


def test_training_resumes_at_a_batch_of_an_epoch(module: Any) -> None:
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


def test_workers_load_the_same(module: Any) -> None:
    expected = [batch.token_ids.tolist() for batch in module.train_dataloader()]
    module.batching = dataclasses.replace(module.batching, num_workers=1)
    assert [batch.token_ids.tolist() for batch in module.train_dataloader()] == expected
