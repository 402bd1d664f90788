"""No configuration runs code: what Hydra would build before a run is refused, from files and the command line."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl

from clsnorm.command import status
from clsnorm.command.composition import CheckedLoader, FolderRepository, register_resolvers
from clsnorm.command.status import run_command
from clsnorm.config import CONF
from clsnorm.errors import InputError
from clsnorm.experiment.__main__ import main

ROOT = Path(__file__).parents[2]
GONE = "data.train=gone.csv"  # ends a run that was not refused before
# A payload creates a file `ran` in the working directory.
RUN = "{_target_: torch.utils.collect_env.run, command: touch ran}"
FILES = {  # what a stranger's experiment file may hold
    "callback": f"hydra: {{callbacks: {{x: {RUN}}}}}",
    "callback_list": f"hydra: {{callbacks: {{x: [{RUN}]}}}}",
    "callback_nested": (
        f"hydra: {{callbacks: {{x: {{_target_: clsnorm.command.OutputFolders, option: {{deep: {RUN}}}}}}}}}"
    ),
    "callback_partial": (
        "hydra: {callbacks: {x: {_target_: functools.partial, _args_: [{path: torch.utils.collect_env.run}]}}}"
    ),
    "callback_interpolated": f"evil: {RUN}\nhydra: {{callbacks: {{x: '${{evil}}'}}}}",
    "callback_replaced": f"hydra: {{callbacks: {{folders: {RUN}}}}}",
    "callback_of_torch": "hydra: {callbacks: {x: {_target_: torch.hub.load, repo_or_dir: ., model: m, source: local}}}",
    "callback_unpickles": "hydra: {callbacks: {x: {_target_: torch.load, f: evil.pt, weights_only: false}}}",
    "environment": "hydra: {job: {env_set: {LD_PRELOAD: evil.so}}}",
    "environment_of_python": "hydra: {job: {env_set: {PYTHONPATH: .}}}",
    "environment_of_packages": (
        "hydra: {job: {env_set: {CLSNORM_PACKAGES: evilmod}}}\ncallbacks: {x: {_target_: evilmod.X}}"
    ),
    "environment_copied": "hydra: {job: {env_copy: [HOME]}}",
    "environment_copied_unset": "hydra: {job: {env_copy: [NO_SUCH_VARIABLE]}}",
    "logging_filter": (
        'hydra: {job_logging: {filters: {f: {"()": torch.utils.collect_env.run, command: touch ran}}, '
        "handlers: {console: {filters: [f]}}}}"
    ),
    "logging_formatter": (
        'hydra: {job_logging: {formatters: {plain: {"()": torch.utils.collect_env.run, command: touch ran}}}}'
    ),
    "logging_formatter_class": "hydra: {job_logging: {formatters: {plain: {class: evilmod.X}}}}",
    "logging_handler": 'hydra: {job_logging: {handlers: {console: {"()": evilmod.run}}}}',
    "logging_stream": "hydra: {job_logging: {handlers: {console: {stream: 'ext://evilmod.X'}}}}",
    "logging_level": "hydra: {job_logging: {root: {level: 'ext://evilmod.X'}}}",
    "logging_interpolated": "evil: 'ext://evilmod.X'\nhydra: {job_logging: {root: {level: '${evil}'}}}",
    "logging_file": (
        "hydra: {job_logging: {handlers: {console: {class: logging.FileHandler, filename: ran, stream: null}}}}"
    ),
    "logging_socket": "hydra: {job_logging: {handlers: {x: {class: logging.handlers.SocketHandler, port: 1}}}}",
    "logging_of_hydra": "hydra: {hydra_logging: {root: {level: 'ext://evilmod.X'}}}",
    "launcher": f"hydra: {{launcher: {RUN}}}",
    "launcher_argument": f"hydra: {{mode: MULTIRUN, launcher: {{x: {RUN}}}}}",
    "sweeper": f"hydra: {{mode: MULTIRUN, sweeper: {RUN}}}",
    "sweeper_parameter": f"hydra: {{mode: MULTIRUN, sweeper: {{params: {{x: {RUN}}}}}}}",
    "sweeper_parameter_target": "hydra: {mode: MULTIRUN, sweeper: {params: {_target_: torch.hub.load}}}",
    "job_of_a_sweep": (
        "hydra: {mode: MULTIRUN, sweeper: {params: {+hydra.job_logging.root.level: 'ext://evilmod.X'}}}"
    ),
    "job_name": "hydra: {job: {name: ../../evil}}",
    "folder_of_a_job": "hydra: {mode: MULTIRUN, sweep: {subdir: ../../evil}}",
    "verbose": f"hydra: {{verbose: {{x: {RUN}}}}}",
    "yaml_tag": "seed: !!python/object/apply:os.system [touch ran]",
    "data_target": f"data: {{about: {RUN}}}",
    "path_target": f"paths: {{output: {RUN}}}",
    "in_a_list": f"data: {{labels: [[{RUN}]]}}",
    "metric": f"data: {{metrics: {{x: {RUN}}}}}",
    "method": "callbacks: {x: {_target_: hydra.utils.get_method, path: os.system}}",
    "positional": "callbacks: {x: {_target_: pytorch_lightning.callbacks.Timer, _args_: [1]}}",
    "main_module": "callbacks: {x: {_target_: clsnorm.data.__main__.main}}",
}
WORDS = {  # the same from the command line
    "callback": ["+hydra.callbacks.x._target_=torch.utils.collect_env.run", "+hydra.callbacks.x.command=touch ran"],
    "environment": ["+hydra.job.env_set.LD_PRELOAD=evil.so"],
    "logging": ["hydra.job_logging.root.level='ext://evilmod.X'"],
    "logging_option": ["hydra/job_logging=default"],  # it writes a file
    "launcher": ["-m", "hydra.launcher._target_=evilmod.X"],
    "sweeper": ["-m", "hydra.sweeper._target_=hydra_plugins.evil.X"],
    "search_path": ["hydra.searchpath=[pkg://evilmod]"],
    "configuration_path": ["--config-path=pkg://evilmod"],
    "rerun": ["--experimental-rerun=evil.pt"],
    "rerun_abbreviated": ["--exp", "evil.pt"],
    "resolver": ["seed=${oc.decode:${oc.env:EVIL}}"],
}
BROKEN = (
    b"a: [",
    b"\x00",
    b"\xff",
    b"- a",
    b"defaults: 5",
    b"defaults: [{a: [b, {c: d}]}]",
    b"a: !!python/none",
    b"*x",
)


@pytest.fixture
def stranger(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stranger's folder of configuration files, and what their payloads name, in the working directory."""
    folder = workspace / "stranger" / "experiment"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / f"{name}.yaml").write_text(f"# @package _global_\n{text}\n")
    leave_a_mark = "open('ran', 'w')\n"
    (workspace / "evilmod.py").write_text(f"{leave_a_mark}\nclass X: ...\ndef run(): ...\n")
    (workspace / "hubconf.py").write_text(leave_a_mark)
    (workspace / "evil.pt").write_bytes(b"cbuiltins\nopen\n(S'ran'\nS'w'\ntR.")
    monkeypatch.syspath_prepend(str(workspace))
    monkeypatch.setenv("EVIL", "a secret of the environment")
    handlers = logging.getLogger().handlers[:]
    level = logging.getLogger().level
    yield workspace / "stranger"
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    sys.modules.pop("evilmod", None)


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["train.py", *words, "data=files", GONE])
    return run_command(main)


def assert_refused(code: int, capsys: pytest.CaptureFixture[str], workspace: Path) -> str:
    printed = capsys.readouterr().err
    assert not (workspace / "ran").exists()
    assert code == 2, printed
    assert printed.startswith("error: ")
    assert len(printed.splitlines()) == 1, printed
    assert "gone.csv" not in printed  # refused for its payload
    assert "a secret of the environment" not in printed
    assert not (workspace / "runs").exists()
    return printed


@pytest.mark.parametrize("name", FILES)
def test_a_stranger_s_file_runs_no_code(
    stranger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code = run(monkeypatch, f"--config-dir={stranger}", f"experiment={name}")
    assert_refused(code, capsys, stranger.parent)


@pytest.mark.parametrize("name", WORDS)
def test_the_command_line_runs_no_code(
    stranger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert_refused(run(monkeypatch, *WORDS[name]), capsys, stranger.parent)


@pytest.mark.parametrize("name", ["callback", "callback_of_torch", "callback_interpolated", "logging_filter"])
def test_the_attacks_would_run_unchecked(stranger: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(status, "checked_composition", contextlib.nullcontext)
    with contextlib.suppress(Exception):
        run(monkeypatch, f"--config-dir={stranger}", f"experiment={name}")
    assert (stranger.parent / "ran").exists()


def test_a_primary_file_of_a_stranger_is_checked_too(
    stranger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (stranger / "evil.yaml").write_text(
        dedent(f"""\
            defaults: [train, _self_]
            hydra:
              callbacks: {{x: {RUN}}}
        """)
    )
    code = run(monkeypatch, f"--config-dir={stranger}", "--config-name=evil")
    assert "torch.utils.collect_env.run" in assert_refused(code, capsys, stranger.parent)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["hydra/job_logging=stdout", "hydra.verbose=[clsnorm]"],
        ["hydra/hydra_logging=none"],
        ["hydra.run.dir=mine"],
        ["-m", "hydra.sweeper.max_batch_size=2", "seed=0,1"],
    ],
)
def test_ordinary_settings_of_hydra_are_accepted(
    stranger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run(monkeypatch, *words, "hydra.job.chdir=False", "hydra.output_subdir=null") == 2
    assert "gone.csv does not exist" in "".join(capsys.readouterr())


@pytest.mark.parametrize("word", ["hydra.job.chdir=true", "++hydra.job.chdir=True", "hydra.output_subdir=.hydra"])
def test_settings_that_runs_rely_on_stay(
    stranger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    printed = assert_refused(run(monkeypatch, word), capsys, stranger.parent)
    assert f"Expected {word.strip('+').partition('=')[0]} to stay" in printed


def test_any_error_while_composing_is_one_line(
    stranger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, text in enumerate(BROKEN):
        (stranger / "experiment" / f"bad{index}.yaml").write_bytes(text)
        code = run(monkeypatch, f"--config-dir={stranger}", f"experiment=bad{index}")
        assert_refused(code, capsys, stranger.parent)


def test_the_loader_refuses_packages_before_it_imports_them(stranger: Path) -> None:
    search_path = ConfigSearchPathImpl()
    search_path.append("main", "pkg://evilmod")
    with pytest.raises(InputError, match="list of folders, but got 'pkg://evilmod'"):
        CheckedLoader(search_path)
    safe = ConfigSearchPathImpl()
    safe.append("main", f"file://{CONF}")
    safe.append("schema", "structured://")
    loader = CheckedLoader(safe)
    with pytest.raises(InputError, match="list of folders"):
        FolderRepository(loader.repository).initialize_sources(search_path)
    assert not (stranger.parent / "ran").exists()


def test_resolvers_read_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    from omegaconf import OmegaConf

    register_resolvers()
    monkeypatch.setenv("MY_SECRET", "hidden")
    for text in ("${oc.env:MY_SECRET}", "${oc.decode:'${oc.env:MY_SECRET}'}", "${oc.env:MY_${x},1}"):
        with pytest.raises(Exception, match="MY_SECRET") as refusal:
            _ = OmegaConf.create({"a": text, "x": "SECRET"}).a
        assert "hidden" not in str(refusal.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["callback", "environment", "environment_of_python", "logging_filter"])
def test_the_real_command_runs_no_code(
    stranger: Path, command: Callable[..., Any], tiny_overrides: list[str], name: str
) -> None:
    (stranger.parent / "sitecustomize.py").write_text("open('ran', 'w')\n")
    more = ["trainer=ddp_cpu"] if name == "environment_of_python" else []
    done = command(f"--config-dir={stranger}", f"experiment={name}", *tiny_overrides, *more)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (stranger.parent / "ran").exists()


def test_full_errors_of_hydra_cannot_be_switched_off(workspace: Path, command: Callable[..., Any]) -> None:
    environment = {**os.environ, "HYDRA_FULL_ERROR": "0"}
    done = command("normalizer=layernrom", env=environment)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "word",
    [
        "+logger.wandb.api_key=hidden-value",
        "++optimizer.password=hidden-value",
        "+data.about.x=hf_hiddenhiddenhiddenhidden",
        "model.path=https://me:hidden@host/m",
        "optimizer.lr=${oc.env:MY_SECRET}",
        "+data.about.x=${oc.env:MY_SECRET}",
        "optimizer.lr=$MY_SECRET",  # as the shell expands it
        "~optimizer.api_key=hidden-value",
    ],
)
def test_a_secret_is_neither_stored_nor_printed(
    stranger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    monkeypatch.setenv("MY_SECRET", "hidden-in-the-environment")
    code = run(monkeypatch, word.replace("$MY_SECRET", os.environ["MY_SECRET"]))
    assert "hidden" not in assert_refused(code, capsys, stranger.parent)
