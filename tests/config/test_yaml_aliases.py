from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.config_search_path import ConfigSearchPath

from clsnorm.command.composition import FolderRepository
from clsnorm.config.yaml_aliases import LARGEST, require_bounded
from clsnorm.errors import InputError


def nested(levels: int, width: int = 10) -> str:
    """``width ** levels`` values in a few lines."""
    lines = ["a0: &a0 [" + ", ".join(["x"] * width) + "]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * width) + "]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (nested(30), r"[1-9][0-9]{0,2}(,[0-9]{3}){8,12}"),
        ("a: &a {b: *a}\n", "values that contain themselves"),
        ("a: &a [1, [*a]]\n", "values that contain themselves"),
    ],
)
def test_aliases_that_expand_without_bounds_are_refused(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"bomb\.yaml to hold at most {LARGEST:,} values, .* expand to {found}\. "):
        require_bounded(path)


@pytest.mark.parametrize(
    "text", [nested(3), "a: &a 1\nb: *a\n", "a: '&'\nb: '*'\n", "", "a: [&\n*", "x: [" * 9000 + "&*"]
)
def test_other_files_are_read_as_before(tmp_path: Path, text: str) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(text)
    require_bounded(path)


def test_files_of_a_search_path_are_checked_before_they_are_read(tmp_path: Path) -> None:
    from hydra._internal.config_repository import ConfigRepository
    from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
    from hydra.core.plugins import Plugins

    Plugins.instance()  # registers how files are read
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "v1.0.yaml").write_text(nested(30))
    search_path: ConfigSearchPath = ConfigSearchPathImpl()
    search_path.append("main", str(tmp_path))
    repository = FolderRepository(ConfigRepository(search_path))
    with pytest.raises(InputError, match=r"v1\.0\.yaml"):
        repository.load_config("data/v1.0")
