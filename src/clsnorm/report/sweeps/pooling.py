"""What must not be pooled, and what is unequal, missing or unpaired: found in what runs recorded of themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from clsnorm.config.names import OBSERVERS
from clsnorm.errors import InputError, did_you_mean
from clsnorm.pages.numbers import plural
from clsnorm.report.sweeps.arm_names import SETTING_GROUPS, rates, settings_among, settings_of, varying
from clsnorm.report.sweeps.run_row import FINISHED, LR, STREAMS, RunRow
from clsnorm.run_folder.config_blocks import parsed

SHOWN = 5  # refusals in one message
SEPARATE = "Give fewer folders, or `--by {name}` for a data set each, or `--arms {name}` for an arm each"


def require_poolable(rows: Sequence[RunRow], *, baseline: str, separated: Sequence[str] = ()) -> None:
    """Refuses runs that one table would mix up.

    Args:
        rows: All runs with a configuration; named by `clsnorm.report.sweeps.arm_names.name_arms`.
        baseline: Name of the baseline's arm.
        separated: Settings that divide tasks or arms already.

    Raises:
        InputError: One line for all faults.
    """
    faults: list[str] = []
    for task, members in by_task(rows).items():
        faults += _unequal_settings(task, members, separated)
        done = [row for row in members if row.finished]
        faults += _unlike(task, done, "digest of the data", lambda row: row.source["sha256"], "source")
        faults += _unlike(task, done, "rows of its splits", lambda row: row.source["rows"], "source")
        faults += _unlike(task, done, "monitored metric", lambda row: row.results["monitor"], "data.monitor")
        faults += _duplicates(task, done)
        arms = sorted({row.arm for row in members})
        if baseline not in arms:
            faults.append(f"{task} has no runs of the baseline {baseline!r}, only {', '.join(arms[:8])}")
    if faults:
        more = f" (and {len(faults) - SHOWN} more)" if len(faults) > SHOWN else ""
        raise InputError(f"These runs cannot be pooled: {'; '.join(faults[:SHOWN])}{more}")


def by_task(rows: Iterable[RunRow]) -> dict[str, list[RunRow]]:
    """Returns the runs of each data set, sorted by name."""
    found: dict[str, list[RunRow]] = defaultdict(list)
    for row in rows:
        found[row.task].append(row)
    return dict(sorted(found.items()))


def _unequal_settings(task: str, rows: Sequence[RunRow], separated: Sequence[str]) -> list[str]:
    faults = []
    choices = {name for name in ("model",) if len({row.choice(name) for row in rows}) > 1}
    groups = [group for group in SETTING_GROUPS if group not in separated]
    for name in sorted(choices - set(separated)):
        faults += _unlike(task, rows, name, lambda row, name=name: row.choice(name), name)  # type: ignore[misc]
    for name in varying(rows, groups):
        if name not in separated and name.partition(".")[0] not in choices:
            own = partial(settings_among, names=[name])
            having = [row for row in rows if own(row)]
            faults += _unlike(task, having, name, lambda row, own=own, name=name: own(row)[name], name)  # type: ignore[misc]
    return faults + _unlike(task, rows, "callbacks that steer training", _steering, "callbacks")


def _steering(row: RunRow) -> str:
    callbacks = parsed(row.blocks["callbacks"]) if "callbacks" in row.blocks else {}
    found = {
        name: node
        for name, node in (callbacks or {}).items()
        if not (isinstance(node, dict) and str(node.get("_target_")).startswith(OBSERVERS))
    }
    return repr(sorted(found.items())) if found else "none"


def _unlike(task: str, rows: Sequence[RunRow], what: str, value: Callable[[RunRow], Any], name: str) -> list[str]:
    """Returns one sentence if ``value`` differs between the runs, with one run of each."""
    found: dict[str, list[RunRow]] = defaultdict(list)
    for row in rows:
        found[repr(value(row))].append(row)
    if len(found) < 2:
        return []
    kinds = sorted(found.items(), key=lambda item: -len(item[1]))
    shown = " and ".join(f"{text[:40]} in {len(members)} ({members[0].path})" for text, members in kinds[:3])
    return [f"{task}: {what} is {shown}. {SEPARATE.format(name=name)}"]


def _duplicates(task: str, rows: Sequence[RunRow]) -> list[str]:
    seen: dict[tuple[Any, ...], RunRow] = {}
    faults = []
    for row in rows:
        first = seen.setdefault((row.arm, row.lr, row.seeds), row)
        if first is not row and first.results["metrics"] != row.results["metrics"]:
            faults.append(
                f"{task}: {first.path} and {row.path} are the same configuration and seeds with different results. "
                "Leave one out"
            )
    return faults


def without_copies(rows: Iterable[RunRow]) -> list[RunRow]:
    """Returns the runs, each configuration and seed once: the first folder."""
    seen: dict[tuple[Any, ...], RunRow] = {}
    for row in rows:
        seen.setdefault((row.task, row.arm, row.lr, row.seeds, row.state == FINISHED), row)
    return list(seen.values())


def notes(rows: Sequence[RunRow], *, baseline: str) -> list[str]:
    """Returns a sentence for each inequality that a reader must know of, and that does not forbid a comparison."""
    found = []
    for task, members in by_task(row for row in rows if row.finished).items():
        found += _uneven(task, members, "commits", lambda row: str(row.results.get("commit"))[:12])
        found += _uneven(task, members, "versions of packages", lambda row: str(row.results.get("versions")))
        found += _newer_options(task, members)
        found += _uneven(task, members, "numbers of devices", lambda row: str(row.results.get("devices")))
        found += _uneven(task, members, "numbers of training steps", lambda row: str(row.results.get("steps")))
        found += _rates(task, members, baseline)
        found += _unpaired(task, members, baseline)
        found += _without_effect(task, members, baseline)
        found += _warming_up(task, members)
    return found + _streams(rows)


def _uneven(task: str, rows: Sequence[RunRow], what: str, value: Callable[[RunRow], str]) -> list[str]:
    counts = Counter(map(value, rows))
    if len(counts) < 2:
        return []
    arms = {arm: {value(row) for row in rows if row.arm == arm} for arm in {row.arm for row in rows}}
    mixed = len({frozenset(values) for values in arms.values()}) == 1
    where = "in equal mixture in all arms" if mixed else "not the same ones in all arms"
    return [f"{task}: runs have {len(counts)} different {what}, {where}"]


def _newer_options(task: str, rows: Sequence[RunRow]) -> list[str]:
    """Names settings that some runs, of an earlier version, do not have: taken for equal, as defaults keep results."""
    lacking: dict[str, int] = {}
    for group in SETTING_GROUPS:
        texts = Counter(row.blocks.get(group, "") for row in rows)
        having = {text: settings_of(group, text) for text in texts}
        for name in {name for settings in having.values() for name in settings}:
            count = sum(number for text, number in texts.items() if name not in having[text])
            lacking |= {name: count} if count else {}
    return [
        f"{task}: {count} runs have no {name} yet; taken for its default" for name, count in sorted(lacking.items())
    ]


def _rates(task: str, rows: Sequence[RunRow], baseline: str) -> list[str]:
    grids = {arm: rates(row for row in rows if row.arm == arm) for arm in sorted({row.arm for row in rows})}
    unlike = [arm for arm, grid in grids.items() if grid != grids.get(baseline)]
    if not unlike:
        return []
    return [f"{task}: the values of {LR} are not those of {baseline} for {', '.join(unlike)}"]


def _unpaired(task: str, rows: Sequence[RunRow], baseline: str) -> list[str]:
    have = {arm: {row.seeds for row in rows if row.arm == arm} for arm in sorted({row.arm for row in rows})}
    shared = have.get(baseline, set())
    found = []
    for arm, seeds in have.items():
        if missing := len(shared - seeds):
            found.append(f"{task}: {arm} lacks {missing} of the {len(shared)} seeds of {baseline}; these are left out")
        if extra := len(seeds - shared):
            found.append(f"{task}: {extra} seeds of {arm} have no run of {baseline} and are left out")
    return found


def _warming_up(task: str, rows: Sequence[RunRow]) -> list[str]:
    """Names arms whose normalizer warms up for at least half of the training batches."""
    found = {}
    for row in rows:
        warmup, steps = row.value("normalizer.warmup_steps"), row.results.get("steps")
        batches = (steps or 0) * (row.value("trainer.accumulate_grad_batches") or 1)
        if isinstance(warmup, int) and 0 < batches <= 2 * warmup:
            found[row.arm] = (
                f"{task}: the warm-up of {row.arm} takes {min(warmup, batches)} of {batches} training batches"
            )
    return list(found.values())


def _without_effect(task: str, rows: Sequence[RunRow], baseline: str) -> list[str]:
    """Names arms whose every run scores as that of the baseline, to the last bit of each number, the loss included."""
    scores = {(row.arm, row.lr, row.seeds): _report_scores(row) for row in rows}
    found = []
    for arm in sorted({row.arm for row in rows} - {baseline}):
        pairs = [
            (found_scores, scores[baseline, lr, seeds])
            for (name, lr, seeds), found_scores in scores.items()
            if name == arm and (baseline, lr, seeds) in scores
        ]
        if pairs and all(mine == theirs and "report/loss" in mine for mine, theirs in pairs):
            found.append(
                f"{task}: {arm} changed nothing: its {plural(len(pairs), 'run')} and those of {baseline} have equal "
                "losses and scores, bit by bit. A warm-up may be longer than the runs, or a strength may be 0"
            )
    return found


def _report_scores(row: RunRow) -> dict[str, Any]:
    return {name: value for name, value in row.results["metrics"].items() if name.startswith("report/")}


def _streams(rows: Sequence[RunRow]) -> list[str]:
    """Says which streams of random numbers the seeds move: what "over seeds" means in this report."""
    seeds = {row.seeds for row in rows}
    still = [name for place, name in enumerate(STREAMS) if len({seed[place] for seed in seeds}) == 1]
    found = []
    if still:
        found.append(f"all runs share one seed of {', '.join(still)}: nothing here says what another one would change")
    if repeated := recurring(seeds):
        found.append(f"seeds of {', '.join(repeated)} recur in several combinations: those runs are not independent")
    return found


def recurring(seeds: Iterable[tuple[int, ...]]) -> list[str]:
    """Returns the streams whose seeds vary, and recur together with different seeds of others.

    Runs that share a seed of one of these are not independent: an interval over them would be too short.

    Args:
        seeds: Of different runs, each with the seed of each of `STREAMS`.
    """
    seeds = set(seeds)
    found = []
    for place, name in enumerate(STREAMS):
        counts = Counter(seed[place] for seed in seeds)
        if len(counts) > 1 and max(counts.values()) > 1:
            found.append(name)
    return found


def require_arm(name: str, rows: Iterable[RunRow]) -> None:
    """Raises InputError unless some run is of this arm."""
    arms = sorted({row.arm for row in rows})
    if name not in arms:
        near, shown = did_you_mean(name, arms), ", ".join(arms[:9])
        raise InputError(f"Expected `--baseline` to be an arm, but got {name!r}.{near} There are {shown}")
