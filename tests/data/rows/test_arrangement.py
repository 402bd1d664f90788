"""Which rows a run uses: carved, drawn, dropped, relabelled, and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

Build = Callable[..., Any]


def test_shots_and_noise_reach_every_view_of_the_labels(
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
        ids = noisy._tokens["train"].example_ids[noisy._used["train"]].tolist()
        assert [given[i] for i in ids] == noisy.labels_of("train").tolist()
    upside_down = prepared(label_noise=1.0)
    assert upside_down.majority() == 1 - prepared().majority()


def test_leaks_are_counted_and_dropped_on_request(
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
    assert "3 of 4 rows of report occur in train too (letter for letter: 2); with another label: 1" in caplog.text
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
    for split in ("train", "report"):
        ids = data.ids_of(split).tolist()
        cut = sum(lengths[i] > 12 for i in ids)
        assert data.source_record["truncated"][split] == cut > 0
        assert data.source_record["truncated_share"][split] == pytest.approx(cut / len(ids))
        assert f"{cut} rows of {split} ({cut / len(ids):.1%}) are longer than data.max_length" in caplog.text


def test_shots_and_noise_leave_out_classes_that_cannot_be_learned(
    user_files: Build, write_tsv: Build, two_classes: Build
) -> None:
    train = write_tsv("train.tsv", two_classes(60))
    names = ["neg", "other", "pos"]
    data = user_files(train, labels=names, untrained=["other"], shots_per_class=3, label_noise=1.0)
    data.prepare()
    assert np.bincount(data.labels_of("train")).tolist() == [3, 0, 3]


def test_empty_texts_are_dropped_and_counted(user_files: Build, write_tsv: Build, two_classes: Build) -> None:
    data = user_files(write_tsv("a.tsv", [("", "pos"), ("  ", "neg"), *two_classes(30)]))
    data.prepare()
    assert data.source_record["drops"] == {"train": {"empty text": 2}}
    assert min(batch.example_ids.min() for batch in data.calibration_dataloader()) >= 2


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
