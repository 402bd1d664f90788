"""Fault injection: the library, the choice of faults, the verdicts, and a thinned enumeration of real commands."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import campaign, interposer, night, trials
from faults.commands import COMMANDS
from faults.comparison import Remains
from faults.forks import Outcome
from faults.interposer import Control, Operation
from faults.points import KINDS, read_points, thin
from faults.states import Memory, State, Store, record

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or interposer.compiler() is None, reason="LD_PRELOAD needs Linux and a C compiler (gcc)"
)
WRITER = """
import os, sys
import numpy as np
folder = sys.argv[1]
os.mkdir(f"{folder}/new")
for name in ("a", "b"):
    try:
        with open(f"{folder}/{name}.draft", "wb", buffering=0) as file:
            written = file.write(b"0123456789")
            os.fsync(file.fileno())
        os.rename(f"{folder}/{name}.draft", f"{folder}/{name}")
        print(name, written)
    except OSError as error:
        print(name, error.errno)
np.save(f"{folder}/c.npy", np.arange(4))
with open(f"{folder}/d", "w") as file:
    file.truncate(0)
os.unlink(f"{folder}/d")
os.rmdir(f"{folder}/new")
"""
NAMES = [
    "mkdir",
    "open",
    "write",
    "fsync",
    "rename",
    "open",
    "write",
    "fsync",
    "rename",
    "open",
    "write",
    "write",
    "open",
    "truncate",
    "unlink",
    "rmdir",
]


NUMBERS = [  # 100,000 for each operation that is no write, 1 for each write since
    *(100_000, 200_000, 200_001, 300_000, 400_000, 500_000, 500_001, 600_000, 700_000),
    *(800_000, 800_001, 800_002, 900_000, 1_000_000, 1_100_000, 1_200_000),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return interposer.build(tmp_path_factory.mktemp("library"))


def run_writer(library: Path, folder: Path, mode: str | None = None, number: int = 0) -> tuple[Control, int, list[str]]:
    root = folder / "root"
    root.mkdir(parents=True)
    control = Control(folder, root, mode, number)
    environment = {**os.environ, "LD_PRELOAD": str(library), interposer.CONTROL: str(control.path)}
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(root)],
        env=environment,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    return control, done.returncode, done.stdout.splitlines()


def test_every_operation_below_the_folder_is_counted_in_order(library: Path, tmp_path: Path) -> None:
    control, status, printed = run_writer(library, tmp_path)
    found = control.operations()
    assert (status, printed, control.fired) == (0, ["a 10", "b 10"], False)
    assert [operation.name for operation in found] == NAMES
    assert [operation.number for operation in found] == NUMBERS
    assert (found[4].path, found[4].other, found[2].size) == ("a.draft", "a", 10)
    array = [operation.size for operation in found if operation.path == "c.npy"]
    assert sum(array) == (tmp_path / "root" / "c.npy").stat().st_size, "numpy writes through a FILE"


@pytest.mark.parametrize(
    ("mode", "number", "left", "lines"),
    [
        ("kill", 3, {"new": None, "a.draft": b""}, []),
        ("kill", 5, {"new": None, "a.draft": b"0123456789"}, []),
        ("truncate", 7, {"new": None, "a": b"0123456789", "b.draft": b"01234"}, []),
    ],
)
def test_a_kill_leaves_what_was_there_before_the_operation(
    library: Path, tmp_path: Path, mode: str, number: int, left: dict[str, bytes | None], lines: list[str]
) -> None:
    control, status, _ = run_writer(library, tmp_path, mode, NUMBERS[number - 1])
    files = {path.name: path.read_bytes() if path.is_file() else None for path in (tmp_path / "root").iterdir()}
    assert (status, control.fired, files) == (-9, True, left)


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_an_input_output_error_hits_one_operation(library: Path, tmp_path: Path, number: int) -> None:
    control, status, printed = run_writer(library, tmp_path, "eio", NUMBERS[number - 1])
    assert (status, control.fired, printed) == (0, True, [f"a {errno.EIO}", "b 10"])


def test_a_full_disk_takes_half_a_write_and_stays_full(library: Path, tmp_path: Path) -> None:
    control, status, printed = run_writer(library, tmp_path, "enospc", NUMBERS[2])
    assert (status, control.fired, printed) == (1, True, ["a 5", f"b {errno.ENOSPC}"]), (
        "and np.save cannot open its file"
    )


def test_a_buffered_write_fails_when_the_stream_is_closed_which_numpy_does_not_look_at(
    library: Path, tmp_path: Path
) -> None:
    _, status, _ = run_writer(library, tmp_path, "eio", NUMBERS[NAMES.index("write", 10) + 1])
    assert (status, (tmp_path / "root" / "c.npy").stat().st_size) == (0, 128)


def test_copies_of_one_run_are_what_kills_leave(library: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    control, store = Control(tmp_path, root, interposer.PAUSE), Store(tmp_path / "contents")
    settings = {"LD_PRELOAD": str(library), interposer.CONTROL: str(control.path)}
    child = subprocess.Popen(  # a shell says its own process id, and Python takes it over
        ["sh", "-c", f'{interposer.LEADER}=$$ exec "$0" -c "$1" "$2"', sys.executable, WRITER, str(root)],
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
    )
    states = {(number, mode): state for number, mode, state in record(child.pid, control, root, store)}
    assert {number for number, mode in states if mode == "kill"} == set(NUMBERS)
    assert {number for number, mode in states if mode == "truncate"} == {
        operation.number for operation in control.operations() if operation.size > 1
    }
    whole = store.copy(root)
    assert whole.entries.keys() == {"a", "b", "c.npy"}, "the command ends as if it had not been stopped"
    for (number, mode), state in states.items():
        run_writer(library, folder := tmp_path / f"{mode}{number}", mode, number)
        assert store.copy(folder / "root") == state
    store.restore(states[NUMBERS[6], "truncate"], root)
    assert {path.name for path in root.iterdir()} == {"new", "a", "b.draft"}
    assert (root / "b.draft").read_bytes() == b"01234"


def test_files_are_read_if_their_content_is_used(library: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in ("read", "appended", "moved", "emptied", "deleted"):
        (root / name).write_text(name)
    script = """
import os
open("read").close(), open("appended", "a").close(), open("emptied", "w").close()
os.rename("moved", "target"), os.unlink("deleted"), os.listdir(".")
"""
    control = Control(tmp_path, root, reads=True)
    settings = {"LD_PRELOAD": str(library), interposer.CONTROL: str(control.path)}
    subprocess.run([sys.executable, "-c", script], env={**os.environ, **settings}, cwd=root, check=True)
    assert control.files_read() == {"read", "appended", "moved"}
    assert [operation.name for operation in control.operations()] == ["open", "open", "rename", "unlink"]


def test_a_result_is_taken_from_a_state_that_differs_in_nothing_that_is_needed() -> None:
    memory: Memory[str] = Memory()
    before = State({"read": "1", "draft": "1", "kept": "1"}, {})
    memory.add(before, State({"read": "2", "kept": "1"}, {}), frozenset({"read", "new"}), "equal")
    assert memory.find(State({"read": "1", "draft": "2", "kept": "1"}, {})) == "equal", "the draft was deleted unread"
    assert memory.find(State({"read": "2", "draft": "1", "kept": "1"}, {})) is None
    assert memory.find(State({"read": "1", "draft": "1", "kept": "2"}, {})) is None, "it stays where it is"
    assert memory.find(State({"read": "1", "kept": "1"}, {})) is None, "names are needed, too"


def operations(*lines: str) -> list[Operation]:
    found = (line.split() for line in lines)
    return [Operation(n, name, int(size), *paths) for n, (name, size, *paths) in enumerate(found, 1)]


def test_a_draft_counts_as_the_file_that_it_becomes() -> None:
    points = read_points(
        operations(
            "open 0 tmp/x1",
            "write 9 tmp/x1",
            "rename 0 tmp/x1 runs/r/.last.ckpt",
            "rename 0 runs/r/.last.ckpt runs/r/last.ckpt",
            "write 5 cache/tokens/draft-1/ids",
            "rename 0 cache/tokens/draft-1 cache/tokens/0123456789abcdef0123456789abcdef",
            "mkdir 0 runs/r",
            "write 2 runs/r/.9",
        )
    )
    assert [point.kind for point in points] == [*["last.ckpt"] * 4, *["token cache"] * 2, *["folder"] * 2]
    assert {point.file for point in points[:4]} == {"runs/r/last.ckpt"}
    assert points[4].place == ("write", "cache/tokens/*/ids")


def test_thinning_keeps_every_kind_and_the_first_middle_and_last_of_each_file() -> None:
    points = read_points(operations(*["write 2 runs/r/metrics.csv"] * 9, "unlink 0 runs/r/last.ckpt"))
    numbers = {by: [point.operation.number for point in thin(points, by)] for by in ("operation", "file", "kind")}
    assert numbers == {"operation": list(range(1, 11)), "file": [1, 5, 9, 10], "kind": [5, 10]}


def test_faults_fit_their_operations() -> None:
    points = read_points(operations("write 2 runs/r/results.json", "unlink 0 runs/r/last.ckpt"))
    modes = ["kill", "enospc", "eio", "truncate"]
    chosen = campaign.tasks(points, modes, "file")
    assert [(point.operation.name, mode) for point, mode in chosen] == [
        ("write", "kill"), ("unlink", "kill"), ("write", "enospc"), ("write", "eio"), ("unlink", "eio"),
        ("write", "truncate"),
    ]  # fmt: skip
    assert [mode for _, mode in campaign.tasks(points, modes, "kind")] == ["kill", "eio"]
    assert [point.kind for point, _ in campaign.tasks(points, modes, "kind", only=["last.ckpt"])] == ["last.ckpt"]


@pytest.mark.parametrize(
    ("status", "error", "wrong"),
    [
        (2, "reading\nerror: Cannot write. Set paths.cache\n", []),
        (1, "error: a worker crashed\n", []),
        (1, "Traceback (most recent call last):\n  File x\nOSError: no room\n", ["traceback: OSError: no room"]),
        (1, "", ["0 lines begin with 'error: '"]),
        (2, "error: one\nerror: two\n", ["2 lines begin with 'error: '"]),
        (-11, "error: one\n", ["ended with status -11"]),
    ],
)
def test_a_failure_must_be_reported_in_one_line(status: int, error: str, wrong: list[str]) -> None:
    assert trials.faults_of_report(Outcome(status, error)) == wrong


def test_differences_are_strays_losses_and_values() -> None:
    expected = Remains({"a": 1, "b": 2}, frozenset({"x", "y"}))
    found = Remains({"a": 1, "b": 3, "c": 4}, frozenset({"y", "z"}))
    assert expected.differences(expected) == []
    assert expected.differences(found) == ["stray: z", "missing: x", "differs: b: 2 -> 3", "differs: c: absent -> 4"]


def test_the_page_names_every_command_and_mode(root: Path) -> None:
    page = (root / "docs" / "reliability.md").read_text()
    assert [name for name in (*COMMANDS, *interposer.MODES) if f"`{name}`" not in page] == []


def test_the_night_kills_every_command_of_several_processes() -> None:
    several = {name for name, command in COMMANDS.items() if re.search("=ddp|devices=", " ".join(command.words))}
    assert several == {name for count, names in night.COMMANDS.items() if count > 1 for name in names}


OPERATIONS = {"open", "write", "fsync", "rename", "unlink", "mkdir", "rmdir", "truncate"}
ENUMERATED = {  # command: the kinds of files to hit; all that it writes, or those that only it writes
    "run": [
        "config.yaml", "last.ckpt", "selected.ckpt", "metrics.csv", "events.csv", "predictions.parquet", "statistics",
        "results.json", "lease", "token cache", "rows cache", "calibration", "folder",
    ],
    "analysis": ["snapshots", "figures", "analysis.json", "analysis.csv", "analysis.html", "index.html"],
    "sweep": ["sweep record", "plan", "multirun.yaml"],
    "force": ["replaced run"],
}  # fmt: skip


def test_every_kind_of_file_is_hit_by_some_command() -> None:
    hit = {kind for kinds in ENUMERATED.values() for kind in kinds}
    assert set(KINDS) - hit == {"error.json", "temporary"}, "written only by a failing command, or for a moment"


@pytest.mark.slow
@pytest.mark.parametrize("command", ENUMERATED)
def test_the_same_command_ends_as_if_nothing_had_happened(
    command: str, root: Path, tmp_path: Path, record_property: Callable[[str, str], None]
) -> None:
    """Thinned: each operation on each kind of file once, killed, torn or failed in turn; ``make faults`` tries more."""
    arguments = [command, "--by", "kind", "--only", ",".join(ENUMERATED[command]), "--json", tmp_path / "trials.json"]
    if command == "analysis":  # drawing takes seconds
        arguments += ["--operations", "write,rename"]
    done = subprocess.run(
        [sys.executable, root / "tools" / "inject_faults.py", "enumerate", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (tmp_path / "trials.json").exists(), done.stderr
    found = [trials.Trial(**fields) for fields in json.loads((tmp_path / "trials.json").read_text())]
    record_property("faults", done.stdout.splitlines()[-2])
    assert {trial.kind for trial in found} == set(ENUMERATED[command]), "each kind of file must be hit"
    assert command != "run" or {trial.name for trial in found} >= OPERATIONS
    assert {trial.mode for trial in found} <= {"kill", "enospc", "eio", "truncate"}
    assert [trial for trial in found if trial.verdict == trials.WRONG] == [], done.stdout
