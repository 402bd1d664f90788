from __future__ import annotations

from pathlib import Path

import pytest

from clsnorm.config.model_folder import check_model_folder, model_folder
from clsnorm.errors import InputError

ENCODER = "clsnorm.model.Encoder"


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/gone", "there is no folder '/gone'"),
        ("./gone", "there is no folder"),
        ("a/b/c", "there is no folder"),
        ("", "but got ''"),
        ("wheel:no_such_package/x", "Install it with pip install no-such-package"),
        ("wheel:clsnorm/gone", "to name a folder inside clsnorm"),
    ],
)
def test_what_cannot_be_a_model_is_refused(path: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        check_model_folder({"_target_": ENCODER, "path": path})


def test_a_folder_needs_a_config(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a folder with a config\.json"):
        model_folder(str(tmp_path))
    (tmp_path / "config.json").touch()
    assert model_folder(str(tmp_path)) == tmp_path


def test_hub_ids_and_other_classes_are_not_looked_for() -> None:
    assert model_folder("google-bert/bert-base-uncased") is None
    check_model_folder({"_target_": "mine.Encoder", "path": "/gone"})
    check_model_folder({"_target_": ENCODER})


def test_a_model_that_a_command_trains_is_named_with_it() -> None:
    with pytest.raises(InputError, match=r"no folder '/gone/models/x'\. `python -m clsnorm\.pretraining` trains"):
        model_folder("/gone/models/x")
