import csv
from pathlib import Path

from clsnorm.loggers.metrics_csv import MetricsCsv


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_of_one_step_are_merged_and_columns_grow(tmp_path: Path) -> None:
    log = MetricsCsv(tmp_path / "metrics.csv")
    log.log_metrics({"train/loss": 0.5}, step=1)
    log.log_metrics({"lr": 0.1}, step=1)
    log.log_metrics({"select/accuracy": 0.25}, step=2)
    log.finalize("success")
    assert read(tmp_path / "metrics.csv") == [
        {"step": "1", "train/loss": "0.5", "lr": "0.1", "select/accuracy": ""},
        {"step": "2", "train/loss": "", "lr": "", "select/accuracy": "0.25"},
    ]


def test_saving_within_a_step_adds_no_second_row(tmp_path: Path) -> None:
    log = MetricsCsv(tmp_path / "metrics.csv")
    log.log_metrics({"train/loss": 0.5}, step=1)
    log.save()
    log.log_metrics({"select/accuracy": 0.25}, step=1)
    log.log_metrics({"train/loss": 0.4}, step=2)
    log.finalize("success")
    assert [row["step"] for row in read(tmp_path / "metrics.csv")] == ["1", "2"]
    assert read(tmp_path / "metrics.csv")[0]["train/loss"] == "0.5"


def test_a_resume_drops_rows_that_will_be_logged_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    first = MetricsCsv(path)
    for step in range(5):
        first.log_metrics({"train/loss": float(step), "text": "a,b"}, step=step)
    first.save()
    resumed = MetricsCsv(path)
    resumed.keep_until(3)
    resumed.log_metrics({"train/loss": 30.0}, step=3)
    resumed.finalize("success")
    rows = read(path)
    assert [row["train/loss"] for row in rows] == ["0.0", "1.0", "2.0", "30.0"]
    assert rows[0]["text"] == "a,b"


def test_resume_of_a_run_without_rows(tmp_path: Path) -> None:
    log = MetricsCsv(tmp_path / "metrics.csv")
    log.keep_until(3)
    assert not (tmp_path / "metrics.csv").exists()
