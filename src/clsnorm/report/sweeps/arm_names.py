"""Which runs are one arm on one data set: by what their configurations choose, not by their folders' names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from clsnorm.config.names import ADDED, SPEED_ONLY_KEYS
from clsnorm.report.sweeps.run_row import RunRow
from clsnorm.run_folder.config_blocks import flat

ARM_GROUPS = ("normalizer", "classifier", "loss", "regularizer")  # what a comparison of normalizers compares
SETTING_GROUPS = ("data", "model", "optimizer", "scheduler", "trainer")  # what must be equal for it
WHOLE = "loss.class_weights"  # one setting, though it may be a mapping
# Where data lie, what they are called, and how fast they are read says nothing about a result. Own files are compared
# by their digests.
LEFT_OUT = {
    "data": {"name", "about", "data_root", "cache", "sources", "train", "select", "report"},
    "model": {"path"},
    "optimizer": {"lr"},
}


def _kept(group: str, values: Mapping[str, Any]) -> dict[str, Any]:
    dropped = LEFT_OUT.get(group, set()) | set(SPEED_ONLY_KEYS.get(group, ()))
    kept = {}
    for name, value in values.items():
        parts = name.split(".")
        is_seed = parts[-1] == "seed" or parts[-1].startswith("seed_")
        if not is_seed and (len(parts) < 2 or parts[1] not in dropped):
            kept[name] = value
    return kept


@lru_cache(maxsize=1 << 14)
def settings_of(group: str, text: str) -> Mapping[str, Any]:
    """Returns the settings of a group that may change results, by dotted name, from its block of a configuration.

    What an earlier version did not have yet has the value with which its results are the same.
    """
    values = {f"{group}.{name}": value for name, value in ADDED.get(group, {}).items()}
    values |= flat(text) if text else {}
    if weights := {name: value for name, value in values.items() if name.startswith(f"{WHOLE}.")}:
        stated = {name.removeprefix(f"{WHOLE}."): value for name, value in sorted(weights.items())}
        values = {name: value for name, value in values.items() if name not in weights} | {WHOLE: stated}
    return _kept(group, values)


def settings_among(row: RunRow, names: Iterable[str]) -> dict[str, Any]:
    """Returns the values of those settings (`settings_of`) that a run has, in the order of ``names``."""
    groups = {name: name.partition(".")[0] for name in names}
    found = {group: settings_of(group, row.blocks.get(group, "")) for group in set(groups.values())}
    return {name: found[group][name] for name, group in groups.items() if name in found[group]}


def varying(rows: Sequence[RunRow], groups: Iterable[str]) -> dict[str, list[Any]]:
    """Returns the values of each setting that is not the same in all rows that have it, most frequent first.

    Rows of an earlier version may lack a setting that `clsnorm.config.names.ADDED` does not list: its default gave the
    same results, so it does not divide.
    Rows are compared by the text of their configuration first, so that thousands of them take no time.
    """
    found: dict[str, list[Any]] = {}
    for group in groups:
        texts = Counter(row.blocks.get(group, "") for row in rows)
        variants = [(settings_of(group, text), count) for text, count in texts.items()]
        for name in sorted({name for values, _ in variants for name in values}):
            counts: Counter[str] = Counter()
            originals: dict[str, Any] = {}
            for values, count in ((values, count) for values, count in variants if name in values):
                counts[repr(values[name])] += count
                originals[repr(values[name])] = values[name]
            if len(counts) > 1:
                found[name] = [originals[key] for key, _ in counts.most_common()]
    return found


def name_arms(rows: Sequence[RunRow], *, by: Sequence[str] = (), arms: Sequence[str] = ()) -> None:
    """Sets `RunRow.arm` and `RunRow.task`.

    An arm is the chosen normalizer, with the settings of normalizer, classifier, loss and regularizer that vary
    among the runs that chose it. The most frequent value of the last three is left out of the name.

    Args:
        rows: All runs of the report that have a configuration.
        by: Settings whose values divide a data set into several tasks, such as ``model`` or ``data.max_length``.
        arms: Settings whose values divide an arm into several, such as ``optimizer``.
    """
    shared = varying(rows, ARM_GROUPS[1:])
    for choice in sorted({row.choice("normalizer") for row in rows}):
        chosen = [row for row in rows if row.choice("normalizer") == choice]
        own = varying(chosen, ARM_GROUPS[:1])
        for row in chosen:
            parts = [choice]
            parts += [_part(name, value) for name, value in settings_among(row, own).items() if _is_option(name)]
            others = settings_among(row, shared).items()
            parts += [_part(name, value) for name, value in others if value != shared[name][0]]
            parts += [_part(name, named(row, name)) for name in arms]
            row.arm = " ".join(parts)
    for row in rows:
        row.task = " ".join([row.choice("data"), *(_part(name, named(row, name)) for name in by)])


def _is_option(name: str) -> bool:
    return not name.endswith("_target_")


def named(row: RunRow, name: str) -> Any:
    """Returns a setting by its dotted name, or the chosen option of a group."""
    return row.value(name) if "." in name else row.choice(name)


def _part(name: str, value: Any) -> str:
    short = value.rpartition(".")[2] if name.endswith("_target_") and isinstance(value, str) else value
    return f"{name.removeprefix('normalizer.').removesuffix('._target_')}={short}"


def rates(rows: Iterable[RunRow]) -> tuple[float, ...]:
    """Returns the learning rates (`optimizer.lr`), sorted."""
    return tuple(sorted({row.lr for row in rows}))
