"""Which code, packages and machine made a result."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from clsnorm.files import write_text

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


def commit() -> str | None:
    """Returns the git commit of this package's source, with ``-dirty`` if files differ from it; None outside git."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    return f"{head}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else head


def write_diff(path: Path) -> None:
    """Writes how this package's source differs from its commit to ``path``; no file where it does not."""
    if diff := _git("diff", "HEAD", "--no-ext-diff"):
        write_text(path, diff + "\n")


def versions() -> dict[str, str]:
    """Returns the version of Python and of each package that can change a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
