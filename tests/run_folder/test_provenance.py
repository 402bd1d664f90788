"""The difference from the commit, in a temporary repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from clsnorm.run_folder import provenance


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    git("init")
    source = tmp_path / "src"
    source.mkdir()
    (source / "provenance.py").write_text("old = 1\n")
    (tmp_path / ".gitignore").write_text("runs\n")
    git("add", ".")
    git("commit", "-m", "first")
    monkeypatch.setattr(provenance, "__file__", str(source / "provenance.py"))
    return tmp_path


def test_no_difference_no_file(repository: Path) -> None:
    provenance.write_diff(repository / "runs")
    assert not (repository / "runs").exists()


def test_changed_and_new_files_can_be_applied_again(repository: Path, tmp_path: Path) -> None:
    (repository / "src" / "provenance.py").write_text("new = 2\n")
    assert provenance.commit().endswith("-dirty")
    (repository / "src" / "fresh.py").write_text("fresh = 3\n")
    (repository / "runs").mkdir()
    (repository / "runs" / "ignored.txt").write_text("x")
    (repository / "src" / "huge.py").write_text("x" * (provenance.LARGEST + 1))
    provenance.write_diff(repository / "runs")
    text = (repository / "runs" / "changes.diff").read_text()
    assert "+new = 2" in text
    assert "+fresh = 3" in text
    assert "ignored" not in text
    assert "huge.py: new, larger than" in text
    assert len(text) < 2000


def test_changes_to_the_code_of_a_resumed_run_are_stored_in_another_file(repository: Path) -> None:
    runs, source = repository / "runs", repository / "src" / "provenance.py"
    for step, text in ((0, "new = 2\n"), (10, "new = 2\n"), (20, "new = 3\n"), (30, "new = 2\n"), (40, "old = 1\n")):
        source.write_text(text)
        provenance.write_diff(runs, step=step)
    assert sorted(path.name for path in runs.iterdir()) == ["changes.diff", "changes_20.diff"]
    assert "+new = 3" in (runs / "changes_20.diff").read_text()


def test_result_files_next_to_the_code_are_not_a_difference(repository: Path) -> None:
    (repository / "results").mkdir()
    (repository / "results" / "metrics.csv").write_text("step\n")
    provenance.write_diff(repository / "runs")
    assert not (repository / "runs").exists()
    assert not provenance.commit().endswith("-dirty")
    (repository / "src" / "own.py").write_text("new = 1\n")
    assert provenance.commit().endswith("-dirty")


PRIVATE = (  # new files, at their places in the repository
    "src/key.pem",
    "src/notes.txt",
    "src/.env",
    "src/secrets.py",
    "src/my_api_key.py",
    "conf/.netrc",
    "conf/data/private_token.yaml",
    "conf/credentials.json",
    "src/id_rsa",
)


@pytest.mark.parametrize("name", PRIVATE)
def test_new_files_that_may_be_private_are_left_out(repository: Path, name: str) -> None:
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("hidden-content")
    (repository / "src" / "fresh.py").write_text("fresh = 3\n")
    provenance.write_diff(repository / "runs")
    text = (repository / "runs" / "changes.diff").read_text()
    assert "hidden-content" not in text
    assert "+fresh = 3" in text


@pytest.mark.parametrize(
    "line",
    [
        'API_KEY = "0123456789"',
        "password: hunter2",
        "x = 'hf_abcdefghijklmnopqrstuvwxyz'",
        "url = 'https://me:mypass@host/x'",
        "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
        "{'wandb_token': '0123abcd'}",
        "aws = AKIA0123456789ABCDEF",
    ],
)
@pytest.mark.parametrize("place", ["src/fresh.py", "src/provenance.py", "conf/fresh.yaml", "README.md"])
def test_keys_within_changed_and_new_files_are_left_out(repository: Path, place: str, line: str) -> None:
    (repository / "README.md").write_text("old\n")
    (repository / "conf").mkdir()
    subprocess.run(["git", "-C", str(repository), "add", "README.md"], check=True)
    (repository / place).write_text(f"before = 1\n{line}\nafter = 2\n")
    provenance.write_diff(repository / "runs")
    text = (repository / "runs" / "changes.diff").read_text()
    assert "+before = 1" in text
    assert "<left out>" in text
    for secret in ("0123456789", "hunter2", "hf_abc", "mypass", "abc\n", "0123abcd"):
        assert secret not in text.replace("<left out>", "").partition("+before")[2]


def test_code_that_handles_keys_is_no_key(repository: Path) -> None:
    code = "def login(api_key: str | None, token=None):\n    self.api_key = api_key\n    password = os.environ['P1']\n"
    (repository / "src" / "fresh.py").write_text(code)
    provenance.write_diff(repository / "runs")
    text = (repository / "runs" / "changes.diff").read_text()
    assert all(f"+{line}" in text for line in code.splitlines())
