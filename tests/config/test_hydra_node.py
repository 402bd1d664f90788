"""The ``hydra`` node: what is refused at each place; the attacks are in tests/command/test_composition.py."""

from __future__ import annotations

from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

from clsnorm.config import CONF, choices, names
from clsnorm.config.hydra_node import check_hydra, check_search_path
from clsnorm.errors import InputError


@pytest.fixture(scope="module")
def composed() -> DictConfig:
    names.register()
    choices.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", return_hydra_config=True)


def changed(config: DictConfig, key: str, value: Any) -> DictConfig:
    config = config.copy()
    with open_dict(config):
        OmegaConf.update(config, f"hydra.{key}", value, force_add=True)
    return config


def test_the_project_s_own_settings_are_admitted(composed: DictConfig) -> None:
    check_hydra(composed, "train")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        check_hydra(compose("analyze", return_hydra_config=True), "analyze")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("callbacks.x", {"_target_": "os.system"}, r"hydra.callbacks.x._target_"),
        ("callbacks.x", {"_target_": "clsnorm.command.OutputFolders", "y": 1}, "to hold only _target_, but got 'y'"),
        ("job.env_set", {"TOKEN": "hidden"}, "`hydra.job.env_set` to stay empty, but got TOKEN"),
        ("job_logging.handlers.x", {"()": "print"}, r"but got '\(\)'"),
        ("job_logging.formatters.x", {"format": "${evil}"}, "a plain value"),
        ("job_logging.root.level", "ext://os", "a plain value"),
        ("hydra_logging.handlers.x.class", "logging.FileHandler", "one of logging.StreamHandler"),
        ("hydra_logging", {"filters": {"x": {}}}, "but got 'filters'"),
        ("verbose", {"x": 1}, "a list of loggers"),
        ("verbose", "${evil}", "a list of loggers"),
        ("sweep.subdir", "a/../../b", "a folder below"),
        ("sweep.subdir", "/b", "a folder below"),
        ("job.name", "../b", "a name of letters"),
        ("job.chdir", True, "hydra.job.chdir to stay false"),
        ("output_subdir", ".hydra", "hydra.output_subdir to stay null"),
        ("launcher._target_", "torch.hub.load", "one of LocalWorkers, SideBySide, "),
    ],
)
def test_what_could_run_code_is_refused(composed: DictConfig, key: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        check_hydra(changed(composed, key, value), "train")
    assert "hidden" not in str(refusal.value)


def test_other_files_keep_hydra_s_defaults(composed: DictConfig) -> None:
    check_hydra(changed(composed, "output_subdir", ".hydra"), "data/sst2")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        default = compose("data/sst2", return_hydra_config=True)
    check_hydra(default, "data/sst2")  # as `python -m clsnorm.data` composes it
    with pytest.raises(InputError, match=r"file.filename"):
        check_hydra(changed(default, "job_logging.handlers.file.filename", "~/.bashrc"), "data/sst2")


@pytest.mark.parametrize("path", ["pkg://os", "pkg://hydra_plugins", "http://x", "pkg://hydra.conference"])
def test_a_search_path_is_a_folder(path: str) -> None:
    check_search_path(["file:///a", "b/c", "structured://", "pkg://hydra.conf", "pkg://hydra_plugins.colorlog.conf"])
    with pytest.raises(InputError, match=f"a list of folders, but got '{path}'"):
        check_search_path([path])
