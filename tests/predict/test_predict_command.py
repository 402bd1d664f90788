"""The command that predicts with a finished run."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from clsnorm.errors import InputError
from clsnorm.predict.predict_command import predict

Train = Callable[..., SimpleNamespace]


class Stdin(io.TextIOWrapper):
    def __init__(self, text: str) -> None:
        super().__init__(io.BytesIO(text.encode()))


def test_a_file_a_text_and_standard_input_get_the_stored_numbers(
    train: Train,
    tiny_data: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = str(train("trainer.max_epochs=1", "callbacks=none").folder)
    stored = pd.read_parquet(f"{run}/predictions.parquet")
    rows = pd.read_csv(tiny_data.report, sep="\t")
    capsys.readouterr()
    predict({"run": run, "file": str(tiny_data.report), "output": str(tmp_path / "a.parquet"), "accelerator": "cpu"})
    assert capsys.readouterr().out == f"40 rows written to {tmp_path}/a.parquet\n"
    found = pd.read_parquet(tmp_path / "a.parquet")
    assert list(found.columns) == ["sentence", "label", "predicted", "probability", "p_0", "p_1"]
    assert found.sentence.tolist() == rows.sentence.tolist()
    assert found.p_1.astype("float32").tolist() == stored.p1.tolist()
    assert found.predicted.tolist() == stored.predicted_name.tolist()
    predict({"run": run, "file": str(tiny_data.report)})
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out), sep="\t")
    assert printed.p_1.astype("float32").tolist() == stored.p1.tolist()
    monkeypatch.setattr(sys, "stdin", Stdin("\n".join(rows.sentence) + "\n"))
    predict({"run": run})
    lines = pd.read_csv(io.StringIO(capsys.readouterr().out), sep="\t")
    assert lines.text.tolist() == rows.sentence.tolist()
    assert lines.p_1.astype("float32").tolist() == stored.p1.tolist()
    predict({"run": run, "text": rows.sentence[0]})
    assert f"predicted                {stored.predicted_name[0]}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"text": "a", "file": "b"}, "text= without file="),
        ({"second": "a"}, "together with text="),
        ({"file": "a.csv", "output": "a.xlsx"}, "extension among"),
        ({"text": "a"}, "finished run"),
    ],
)
def test_mistakes(given: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        predict({"run": str(tmp_path), **given})


def test_help_is_quick_and_imports_no_torch() -> None:
    code = (
        "import sys, runpy; sys.argv = ['clsnorm', 'predict', '--help']\n"
        "try: runpy.run_module('clsnorm', run_name='__main__')\n"
        "except SystemExit as end: sys.exit(end.code or 9 * ('torch' in sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.returncode == 0
    assert "accelerator=" in shown.stdout
