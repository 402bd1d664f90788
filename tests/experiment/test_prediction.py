"""`Prediction` and `Predictor`: what a finished run answers to texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import clsnorm
from clsnorm.errors import InputError
from clsnorm.experiment.prediction import Prediction, Predictor

Train = Callable[..., SimpleNamespace]


def texts_of(file: Path) -> list[str]:
    return [line.split("\t")[0] for line in file.read_text().splitlines()[1:]]


@pytest.mark.parametrize("normalizer", ["standardize", "batchnorm"])
def test_all_report_rows_get_the_stored_numbers(train: Train, tiny_data: SimpleNamespace, normalizer: str) -> None:
    run = train(f"normalizer={normalizer}", "data.eval_batch_size=16", "callbacks=none", "trainer.max_epochs=1")
    stored = pd.read_parquet(run.folder / "predictions.parquet")
    loaded = clsnorm.load_run(run.folder)
    texts = texts_of(tiny_data.report)
    found = loaded.predict(texts)
    assert found.probabilities is not None
    assert np.array_equal(found.probabilities, stored[["p0", "p1"]].to_numpy())
    assert found.labels == stored.predicted_name.tolist()
    assert stored.label_name.tolist() == [str(label) for label in stored.label]
    assert found.values is None
    alone = [loaded.predict([text]).logits[0] for text in texts[:3]]  # a row does not depend on its batch
    assert np.allclose(alone, found.logits[:3], atol=1e-5)
    assert repr(loaded) == f"LoadedRun(data=files, model=any, normalizer={normalizer}, seed=0)"
    assert isinstance(loaded.predictor, Predictor)
    refuses_what_is_no_list_of_texts(loaded)


def refuses_what_is_no_list_of_texts(loaded: clsnorm.experiment.loaded.LoadedRun) -> None:
    assert loaded.predict([]).logits.shape == (0, 2)
    assert loaded.predict([""]).labels[0] in ("0", "1")
    with pytest.raises(InputError, match="a list of texts, but got 'one'"):
        loaded.predict("one")
    for odd in (("a", "b"), 1, None, ["a", 2]):
        with pytest.raises(InputError, match="Expected a list of texts, as those"):
            loaded.predict(["a", odd])  # type: ignore[list-item]
    with pytest.raises(InputError, match="batch_size"):
        loaded.predict(["a"], batch_size=0)


def test_labels_of_equal_and_of_undefined_logits() -> None:
    found = Prediction(np.array([[0.0, 0.0], [0.0, 1.0], [np.inf, 0.0]], np.float32), ["no", "yes"])
    assert found.labels == ["no", "yes", None]
    assert len(found) == 3
    numbers = Prediction(np.array([[1.5], [np.nan]], np.float32), None)
    assert numbers.labels == [1.5, None]
    assert numbers.probabilities is None
    assert "2 texts" in repr(numbers)
