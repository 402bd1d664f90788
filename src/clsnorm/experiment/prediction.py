"""What the model of a finished run answers to new texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clsnorm.data.tokens.loader import BatchLoader, TokenDataset
from clsnorm.data.tokens.requirements import require_tokenizer
from clsnorm.data.tokens.sampling import GlobalBatches
from clsnorm.data.tokens.tokenization import tokenized, truncation_rule
from clsnorm.errors import InputError, refuse, require_whole
from clsnorm.metrics import predictions

if TYPE_CHECKING:
    from clsnorm.batches import Batch
    from clsnorm.model import Classifier

AUTOCAST = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}  # by trainer.precision
Texts = Sequence[str] | Sequence[Sequence[str]]


@dataclass(frozen=True)
class Prediction:
    """The answers of a classifier to n texts.

    Attributes:
        logits: ``(n, C)``, float32; C is 1 in regression.
        classes: Names of the C classes; None in regression.
    """

    logits: np.ndarray
    classes: list[str] | None

    def __len__(self) -> int:
        return len(self.logits)

    def __repr__(self) -> str:
        return f"Prediction({len(self)} texts, classes={self.classes})"

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """Probabilities of the classes, ``(n, C)``, float32, NaN where logits are not finite; None in regression."""
        return None if self.classes is None else self._numbers

    @cached_property
    def values(self) -> np.ndarray | None:
        """The predicted numbers, ``(n,)``, float32, NaN where they are not finite; None for classes."""
        return self._numbers if self.classes is None else None

    @cached_property
    def labels(self) -> list[Any]:
        """The most probable class of each text, by name, or the predicted number; None where logits are not finite."""
        numbers = self._numbers
        if self.classes is None:
            return [float(value) if np.isfinite(value) else None for value in numbers]
        defined = np.isfinite(numbers).all(1)
        best = np.where(defined, numbers.argmax(1), -1)  # of equal ones the first
        return [None if at < 0 else self.classes[at] for at in best.tolist()]

    @cached_property
    def _numbers(self) -> np.ndarray:
        return predictions(torch.from_numpy(self.logits), regression=self.classes is None).numpy()


class Predictor:
    """Turns texts into predictions as a run's evaluation did: same tokens, batches and precision.

    Texts in the order of a split get the numbers of the run's own pass over that split, to the bit on the same kind of
    device. Dropout is off, and batch normalizers use their running statistics, so that an answer does not depend on the
    other texts, but for rounding.

    Args:
        classifier: With the run's weights. Its device is used.
        tokenizer: The encoder's.
        config: The run's configuration.
        results: The run's results.
    """

    def __init__(
        self, classifier: Classifier, tokenizer: Any, config: Mapping[str, Any], results: Mapping[str, Any]
    ) -> None:
        self._classifier, self._tokenizer, data = classifier, tokenizer, config["data"]
        source = results.get("source", {})
        self.classes = None if data.get("task") == "regression" else _names(source.get("labels"), classifier)
        self.pairs = _takes_pairs(source.get("truncation"), data.get("text"))
        self._max_length, self.batch_size = data["max_length"], data["eval_batch_size"]
        self._packed = bool(data.get("packed")) and classifier.encoder.can_pack
        self._autocast = AUTOCAST.get(config.get("trainer", {}).get("precision", ""))

    def predict(self, texts: Texts, *, batch_size: int | None = None) -> Prediction:
        """Returns the answers to texts, or to pairs of texts if the run was trained on pairs.

        Args:
            texts: Texts, or pairs ``(first, second)``. An empty text is answered, too.
            batch_size: Texts at once; None: as in the run's evaluation.

        Raises:
            InputError: If these are no texts, or one text instead of several.
        """
        require_whole("batch_size", batch_size, least=1, or_null=True)
        return Prediction(self._logits(self._columns(texts), batch_size or self.batch_size), self.classes)

    def _columns(self, texts: Texts) -> list[list[str]]:
        """Returns one list of texts, or two."""
        if isinstance(texts, str) or not isinstance(texts, Sequence | np.ndarray):
            refuse("texts", "a list of texts", texts, "Give run.predict([text])")
        rows = [(row,) if isinstance(row, str) else row for row in texts]
        width = 1 + (self.pairs if self.pairs is not None else bool(rows) and _texts_in(rows[0]) == 2)
        if odd := [row for row in rows if _texts_in(row) != width]:
            kind = "pairs of texts" if width == 2 else "texts"
            of_run = ", as those that the run was trained on" if self.pairs is not None else ""
            raise InputError(f"Expected a list of {kind}{of_run}, but got {_short(odd[0])} in it")
        return [list(column) for column in zip(*rows, strict=True)]

    def _logits(self, columns: list[list[str]], batch_size: int) -> np.ndarray:
        """Returns the logits of texts, ``(n, C)``."""
        if not columns:
            return np.empty((0, self._classifier.num_outputs), np.float32)
        device = next(self._classifier.parameters()).device
        with self._classifier.evaluating(), self.precision(device):
            parts = [
                self._classifier(batch.to(device)).logits.float().cpu() for batch in self._batches(columns, batch_size)
            ]
        return torch.cat(parts).numpy()

    def _batches(self, columns: list[list[str]], batch_size: int) -> Iterator[Batch]:
        require_tokenizer(self._tokenizer, self._max_length, pairs=len(columns) == 2)
        tokens = tokenized(columns, self._tokenizer, self._max_length)
        dataset = TokenDataset(tokens, packed=self._packed, padding=self._tokenizer.pad_token_id or 0)
        yield from BatchLoader(dataset, GlobalBatches(len(dataset), batch_size=batch_size))

    def precision(self, device: torch.device) -> Any:
        """Returns the context in which Lightning evaluates with the run's precision."""
        return torch.autocast(device.type, dtype=self._autocast or torch.bfloat16, enabled=self._autocast is not None)


def _names(stored: Sequence[str] | None, classifier: Classifier) -> list[str]:
    """Returns the names of the classes; their numbers for a run of an earlier version, which did not store names."""
    return [str(name) for name in stored or range(classifier.num_outputs)]


def _takes_pairs(rule: str | None, text: Any) -> bool | None:
    """Returns whether a run was trained on pairs; None if a run of an earlier version does not say."""
    if rule is not None:
        return rule == truncation_rule(pairs=True)
    return len(text) == 2 if isinstance(text, list) else None


def _texts_in(row: Any) -> int:
    """Returns how many texts a row has; 0 if it holds anything else."""
    return len(row) if isinstance(row, tuple | list) and all(isinstance(text, str) for text in row) else 0


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
