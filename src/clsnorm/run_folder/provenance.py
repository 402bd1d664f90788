"""Which code, packages and machine made a result."""

import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from clsnorm.files import write_text
from clsnorm.redaction import redacted_code

PACKAGES = (
    "clsnorm",
    "torch",
    "pytorch-lightning",
    "transformers",
    "tokenizers",
    "datasets",
    "torchmetrics",
    "hydra-core",
    "numpy",
)
# Which new files are code. Others are more likely results, or private.
CODE = (
    "src/**/*.py",
    "src/**/*.jinja",
    "src/**/*.css",
    "conf/**/*.yaml",
    "train.py",
    "pyproject.toml",
    "requirements.txt",
)
PRIVATE = re.compile(
    r"secret|token|credential|passw|private|netrc|\.env|\.pem|\.key|(^|[^a-z])keys?([^a-z]|$)", re.IGNORECASE
)
LARGEST = 1_000_000  # bytes of a new file that are stored


def commit() -> str | None:
    """Returns the git commit of this package's source, with ``-dirty`` if its code differs; None outside git."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    changed = _git("status", "--porcelain", "--untracked-files=no") or _untracked()
    return f"{head}-dirty" if changed else head


def differing(recorded: str | None) -> str:
    """Returns ``, at commit <recorded> (here: <this one>)`` if what was recorded is another one, else nothing."""
    here = commit()
    return "" if here == recorded else f", at commit {recorded} (here: {here})"


def write_diff(folder: Path, *, step: int = 0) -> None:
    """Writes how this package's source differs from its commit to ``changes.diff``; no file where it does not.

    New files of code (`CODE`) that git does not know yet are part of it, as ``git add`` would take them; of those
    larger than 1 MB, or named like a store of keys, only the name is stored. What looks like a key within a file, new
    or not, is left out.

    Args:
        folder: Of a run.
        step: At which the run goes on, if it is not 0: with other changes than are kept already, those of now become
            ``changes_<step>.diff``.
    """
    parts = [_git("diff", "HEAD", "--no-ext-diff") or "", *map(_new_file, _untracked())]
    diff = redacted_code("\n".join([*filter(None, parts), ""]))
    if diff and diff not in [path.read_text(encoding="utf-8") for path in folder.glob("changes*.diff")]:
        write_text(folder / (f"changes_{step}.diff" if step else "changes.diff"), diff)


def _untracked() -> list[str]:
    patterns = [f":(glob){pattern}" for pattern in CODE]
    top = _git("rev-parse", "--show-toplevel")
    listed = _git("-C", top, "ls-files", "--others", "--exclude-standard", "-z", "--", *patterns) if top else None
    return [str(Path(top or "", name)) for name in (listed or "").split("\0") if name]


def _new_file(name: str) -> str:
    if PRIVATE.search(Path(name).name):
        return f"# {name}: new, left out, since its name looks private"
    if Path(name).stat().st_size > LARGEST:
        return f"# {name}: new, larger than {LARGEST} bytes, left out"
    return _git("diff", "--no-index", "--no-ext-diff", "--", "/dev/null", name, statuses=(0, 1)) or ""


def versions() -> dict[str, str]:
    """Returns the version of Python and of each package that can change a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(*arguments: str, statuses: tuple[int, ...] = (0,)) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20, errors="replace")
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode in statuses else None
