"""What a configuration states about a data set, checked before anything is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchmetrics import Metric

from clsnorm.config.spelling import is_typed, place, shown, spell
from clsnorm.data.rows.labels import NO_LABELS
from clsnorm.data.rows.matching import twice
from clsnorm.errors import (
    InputError,
    did_you_mean,
    refuse,
    require_between,
    require_choice,
    require_switch,
    require_whole,
)

TASKS = ("classification", "regression")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is stated about the rows of a data set, whichever source they come from.

    Args:
        task: ``classification`` or ``regression``.
        labels: The classes in the order of their ids, as texts or as values such as 1 and True; None for regression, or
            for the sorted names found in train.
        untrained: Classes that need no row in train and then cannot be learned; any other class without one is refused.
        allow_absent: Whether a published select or report split may lack a class, which is then logged; else it is
            refused.
        rows: Stated row counts of the published splits; a missing one or None is not checked.
        max_empty: Largest share of rows of a split whose text may be empty; they are dropped.
        drop_leaked: Whether to drop rows of train whose text occurs in another split, but for case, punctuation and
            spaces.
        normalize_labels: Whether labels that differ only in case, spaces or Unicode form are one class.

    Raises:
        InputError: If a value is out of range or contradicts another one.
    """

    task: str
    labels: Sequence[Any] | None
    untrained: Sequence[Any]
    allow_absent: bool
    rows: Mapping[str, int | None]
    max_empty: float
    drop_leaked: bool
    normalize_labels: bool = False

    def __post_init__(self) -> None:
        require_choice("data.task", self.task, TASKS)
        require_between("data.max_empty", self.max_empty, 0, 1)
        require_switch("data.allow_absent", self.allow_absent)
        require_switch("data.drop_leaked", self.drop_leaked)
        require_switch("data.normalize_labels", self.normalize_labels)
        self._require_classes()
        self._require_untrained()

    @property
    def regression(self) -> bool:
        """Whether labels are numbers to predict."""
        return self.task == "regression"

    def require_counts(self, splits: Collection[str]) -> None:
        """Raises InputError unless ``rows`` states whole numbers, or None, for some of the published ``splits``."""
        for split, count in self.rows.items():
            require_choice("data.rows", split, sorted(splits))
            require_whole(f"data.rows.{split}", count, least=1, or_null=True)

    def untrained_among(self, names: Sequence[str]) -> list[str]:
        """Returns the untrained classes by their ``names``, which are in the order of their ids."""
        places = {place(label, self.labels or ()) for label in self.untrained}
        return [name for at, name in enumerate(names) if at in places]

    def _require_classes(self) -> None:
        labels = self.labels
        if labels is None:
            return
        if self.regression or len(labels) < 2:
            raise InputError(
                "Expected argument `data.labels` to name two or more different classes, or null for regression, but "
                f"got {list(labels)} for {self.task}"
            )
        if odd := [label for label in labels if isinstance(label, NO_LABELS) or not (spell(label) or is_typed(label))]:
            raise InputError(f"Expected argument `data.labels` to name classes, but got {odd[0]!r} among them")
        if pair := twice(labels, merged=self.normalize_labels):
            typed = any(map(is_typed, pair))
            cure = "Quote labels that YAML reads as other values" if typed else "Name each class once"
            raise InputError(
                f"Expected argument `data.labels` to name two or more different classes, but {pair[0]!r} and "
                f"{pair[1]!r} {'look' if self.normalize_labels and not typed else 'mean'} the same. {cure}"
            )

    def _require_untrained(self) -> None:
        if self.untrained and self.labels is None:
            raise InputError(
                f"Expected argument `data.untrained` to be empty where data.labels is null, but got "
                f"{list(self.untrained)}. Name all classes in data.labels"
            )
        for label in self.untrained:
            if place(label, self.labels or ()) is None:
                names = [shown(one) for one in self.labels or ()]
                refuse("data.untrained", f"one of {', '.join(names)}", label, did_you_mean(shown(label), names).strip())


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The metrics of a data set.

    Args:
        metrics: By name. A partial is called with ``num_classes``. Their inputs are probabilities ``(B, C)`` and class
            ids, or values and targets, both ``(B,)``.
        monitor: The one that chooses the checkpoint.
        mode: ``max`` or ``min``: what is good in ``monitor``.

    Raises:
        InputError: If there is no metric ``monitor``, or no such mode.
    """

    metrics: Mapping[str, Metric | Callable[..., Metric]]
    monitor: str
    mode: str

    def __post_init__(self) -> None:
        require_choice("data.mode", self.mode, ("max", "min"))
        require_choice("data.monitor", self.monitor, list(self.metrics))


@dataclass(frozen=True, kw_only=True)
class Batching:
    """How rows are batched and shared among processes.

    Args:
        batch_size: Examples of a training batch over all processes.
        drop_last: Whether training leaves out the rows of an epoch that do not fill a batch.
        batches_per_step: Training batches whose gradients an optimizer step accumulates.
        eval_batch_size: Examples of any other batch over all processes.
        packed: Whether batches are packed (no padding) or padded.
        num_workers: Processes that load batches; 0: the training process.
        seed_order: Of the order of training examples.
        rank: This process.
        world_size: Number of processes.

    Raises:
        InputError: If a value is out of range.
    """

    batch_size: int
    eval_batch_size: int
    packed: bool
    num_workers: int
    seed_order: int
    rank: int
    world_size: int
    batches_per_step: int = 1
    drop_last: bool = False

    def __post_init__(self) -> None:
        require_whole("data.batch_size", self.batch_size, least=1)
        require_whole("data.eval_batch_size", self.eval_batch_size, least=1)
        require_switch("data.packed", self.packed)
        require_switch("data.drop_last", self.drop_last)
        require_whole("data.num_workers", self.num_workers, least=0, advice="0: the training process loads batches")
        require_whole("seeds.order", self.seed_order, least=0)
