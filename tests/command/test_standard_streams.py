"""Commands whose standard streams are closed or full, and words that are not UTF-8."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clsnorm.command.standard_streams import printing, require_utf8
from clsnorm.errors import DiskError, InputError

PRINT = r"""
import os, sys
from clsnorm.command.standard_streams import open_missing, printing, require_utf8
open_missing()
require_utf8(sys.argv[1:])
file = open(sys.argv[1], "w")
with printing():
    print("\u2013\u00e4")
file.write(f"{file.fileno() > 2}")
"""


def run(path: Path, shell: str = "", **environment: str) -> Any:
    script = path.with_name("script.py")
    script.write_text(PRINT)
    command = f"exec {sys.executable} '{script}' '{path}' {shell}"
    variables = {**os.environ, **environment}
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=variables, check=False)


@pytest.mark.parametrize("shell", [">&-", "<&- >&- 2>&-", "<&-", "2>&-"])
def test_a_file_never_takes_the_place_of_a_closed_stream(tmp_path: Path, shell: str) -> None:
    done = run(tmp_path / "x", shell)
    assert (done.returncode, (tmp_path / "x").read_text()) == (0, "True"), done.stderr


def test_a_locale_of_ascii_names_files_with_umlauts(tmp_path: Path) -> None:
    done = run(tmp_path / "ä", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ä").exists()


def test_a_full_standard_output_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    duplicated = []
    monkeypatch.setattr(os, "dup2", lambda *arguments: duplicated.append(arguments))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Full())
        with pytest.raises(DiskError, match="Cannot write standard output: No space left on device"), printing():
            pass
        patch.setattr(sys, "stdout", io.StringIO())
        with pytest.raises(BrokenPipeError), printing():
            raise BrokenPipeError
    assert len(duplicated) == 1


def test_words_that_are_not_utf8_are_refused() -> None:
    require_utf8(["data.train=ä", ""])
    with pytest.raises(InputError, match="UTF-8, but got"):
        require_utf8([os.fsdecode(b"data.train=\xe4.csv")])
