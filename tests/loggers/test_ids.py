"""The ids of a run in the loggers."""

from __future__ import annotations

from pathlib import Path

from clsnorm.loggers.ids import store_id, stored_id


def test_an_id_is_created_once(tmp_path: Path) -> None:
    assert stored_id(tmp_path, "wandb") is None
    assert store_id(tmp_path, "wandb", lambda: "a") == "a"
    assert store_id(tmp_path, "wandb", lambda: "b") == "a"
    assert store_id(tmp_path, "mlflow", lambda: "c") == "c"
    assert (stored_id(tmp_path, "wandb"), stored_id(tmp_path, "mlflow")) == ("a", "c")
