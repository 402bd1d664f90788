"""Which data sets exist, where each can be read from on this machine, and statistics of its rows."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clsnorm.cache import Cache, cache_key
from clsnorm.config.choices import compose_options, resolve_option
from clsnorm.data.rows import leakage
from clsnorm.data.rows.rows import Rows
from clsnorm.data.rows.storage import store
from clsnorm.data.sources.source import Source, Unavailable
from clsnorm.errors import InputError, did_you_mean
from clsnorm.files import digest

WORD = re.compile(r"[\u3400-\u9fff]|[^\s\u3400-\u9fff]+")  # a Chinese character, or a run of others without spaces
SHOWN = 160  # characters of an example
FORMAT = 1  # of what is cached
EXAMPLES = 2  # per class


def listing(conf: Path, paths: Mapping[str, str], *, only: str | None = None) -> Iterator[dict[str, Any]]:
    """Yields a record of each data set, or of ``only`` one; statistics of rows are cached below ``paths["cache"]``.

    Args:
        conf: The folder of the configuration.
        paths: ``data``: folder of published data sets; ``cache``: folder of the cache.
        only: Name of a data set.

    Yields:
        ``name``, ``asks``, ``kind``, ``stated`` rows, ``metrics`` (the monitored one first), ``about``; ``source``
        (kind and location of each split) or ``missing`` (how to get the rows). If rows can be read, perhaps only those
        of some splits, also what `measure` returns, or ``refused``: the error.

    Raises:
        InputError: If no data set is named ``only``.
    """
    cache = Cache(Path(paths["cache"]) / "listing")
    found = {key: (asks, node) for key, asks, node in composed(conf, cache)}
    if only is not None and only not in found:
        raise InputError(
            f"Expected the name of a data set, but got {only!r}.{did_you_mean(only.lower(), found)} "
            "Run `python -m clsnorm.data` for all names"
        )
    for key in found if only is None else [only]:
        asks, node = found[key]
        facts = {"kind": kind(node), "stated": node["rows"], "metrics": metric_names(node), "about": node["about"]}
        yield {"name": key, "asks": asks, **facts, **_rows(node, paths, cache)}


def composed(conf: Path, cache: Cache) -> list[tuple[str, str, dict[str, Any]]]:
    """Returns `data_sets`, from the cache unless a file has changed: composing all of them takes seconds."""
    files = {str(path.relative_to(conf)): digest(path) for path in sorted((conf / "data").rglob("*.yaml"))}
    return _cached(cache, {"files": files}, lambda: {"sets": list(data_sets(conf))})["sets"]


def _cached(cache: Cache, parts: Mapping[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Returns what ``make`` returned for these ``parts``, and calls it if the cache has no entry."""
    key = cache_key({"format": FORMAT, **parts})
    if entry := cache.get(key):
        return entry[1]
    with cache.draft(key) as (_, record):
        record |= make()
    return record


def _rows(node: Mapping[str, Any], paths: Mapping[str, str], cache: Cache) -> dict[str, Any]:
    """Measures the rows of the first source that has them, or returns what is missing."""
    from clsnorm.config.roles import instantiate_partial

    root, missing = Path(paths["data"]), {}
    plain = {**resolve_option("data", node, paths), "metrics": {}}  # only the sources are needed
    sources: dict[str, Source] = instantiate_partial(plain, "data").keywords["sources"]
    for source in sources.values():
        try:
            if source.is_available(root):
                location = {split: source.location(root, split) for split in source.splits}
                found = _measured(source, node, root, cache)
                return {"source": {"kind": source.kind, "location": location}, **found}
        except InputError as error:
            return {"source": {"kind": source.kind}, "refused": str(error)}
        except Unavailable:  # the hub's cache has another revision
            pass
        missing[source.kind] = f"{source.location(root, 'train')}: {source.cure}"
    return {"missing": missing, **_parts(sources.values(), node, root, cache)}


def _parts(sources: Iterable[Source], node: Mapping[str, Any], root: Path, cache: Cache) -> dict[str, Any]:
    """Measures the available splits of the first source that has some but not all."""
    for source in sources:
        splits = source.available_splits(root)
        if splits and "train" not in splits and node["labels"]:  # otherwise only train has the class names
            try:
                return measure(source, node, root, cache.folder, splits)
            except InputError as error:
                return {"refused": str(error)}
    return {}


def _measured(source: Source, node: Mapping[str, Any], root: Path, cache: Cache) -> dict[str, Any]:
    """Returns what `measure` returns, from the cache if possible."""
    steered = {name: node[name] for name in ("task", "labels", "rows", "max_empty")}
    parts = {"content": source.fingerprint(root), "source": source.describe(), **steered}
    return _cached(cache, parts, lambda: measure(source, node, root, cache.folder, list(source.splits)))


def measure(
    source: Source, node: Mapping[str, Any], root: Path, scratch: Path, splits: Sequence[str]
) -> dict[str, Any]:
    """Reads all rows of ``splits`` once. If train is not one of them, the first takes its place.

    Args:
        source: Has the rows.
        node: The data set's configuration.
        root: Folder of published data sets.
        scratch: Where a temporary folder is created.
        splits: The splits to read.

    Returns:
        ``published`` rows, ``drops`` and remaining ``rows`` of each split; ``classes``: rows of each class in each
        split, or the ``range`` of numbers; ``majority``: the largest class's share of train, None for numbers;
        ``words``: median and 95th percentile of the words of a training example; ``copies``: duplicates within train
        and between train and other splits, as `clsnorm.data.rows.leakage.report` counts them, empty without train;
        ``examples``: shortened texts of train by class, or by number.
    """
    regression, labels = node["task"] == "regression", node["labels"]
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        record = store(
            source,
            root,
            Path(folder),
            regression=regression,
            labels=labels,
            sizes=node["rows"] or {},
            max_empty=node["max_empty"],
            progress=True,
            only=splits,
        )
        parts = {split: Rows.load(Path(folder), split) for split in splits}
        train, names = parts.get("train", parts[splits[0]]), record.pop("labels")
        values = train.labels
        return {
            **record,
            "rows": {split: len(part) for split, part in parts.items()},
            "classes": None if regression else {s: _counts(part, names) for s, part in parts.items()},
            "range": [float(values.min()), float(values.max())] if regression else None,
            "majority": None if regression else float(np.bincount(values).max() / len(train)),
            "words": _words(train),
            "copies": leakage.report(parts) if "train" in parts else {},
            "examples": _examples(train, values, names),
        }


def without_places(one: dict[str, Any], root: Path) -> dict[str, Any]:
    """Returns the statistics of a record of `listing` for ``docs/data_found.json``: no texts and no paths."""
    wanted = ("name", "published", "drops", "rows", "majority", "words", "copies")
    kept = {key: one[key] for key in wanted if key in one}
    if "refused" in one:
        kept["refused"] = one["refused"].replace(f"{root}/", "")
    return kept


def _counts(part: Rows, names: list[str]) -> dict[str, int]:
    return dict(zip(names, np.bincount(part.labels, minlength=len(names)).tolist(), strict=True))


def _words(part: Rows) -> dict[str, float]:
    counts = [
        sum(len(WORD.findall(text)) for text in row) for texts in part.texts() for row in zip(*texts, strict=True)
    ]
    return {"median": float(np.median(counts)), "p95": float(np.quantile(counts, 0.95))}


def _examples(part: Rows, labels: np.ndarray, names: list[str] | None) -> dict[str, list[list[str]]]:
    """Returns the first examples of each class, or those with the smallest, the middle and the largest number."""
    if names:
        wanted = {name: np.flatnonzero(labels == i)[:EXAMPLES] for i, name in enumerate(names)}
    else:
        order = np.argsort(labels, kind="stable")[[0, len(labels) // 2, -1]]
        wanted = {f"{labels[row]:g}": np.array([row]) for row in order}
    return {name: [[_short(text) for text in row] for row in _texts(part, chosen)] for name, chosen in wanted.items()}


def _texts(part: Rows, chosen: np.ndarray) -> Iterator[tuple[str, ...]]:
    for texts in part.take(chosen).texts():
        yield from zip(*texts, strict=True)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN else f"{flat[: SHOWN - 1]}…"


def data_sets(conf: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields key, description and composed, unresolved configuration of each published data set."""
    return (found for found in compose_options("data", conf) if "sources" in found[2])


def kind(node: dict[str, Any]) -> str:
    """Describes a data set's rows: ``one text, 2 classes``, ``pairs, a number``, ...

    Example:
        >>> kind({"task": "classification", "labels": ["no", "yes"], "sources": {"files": {"text": ["a", "b"]}}})
        'pairs, 2 classes'
    """
    (source, *_) = node["sources"].values()
    texts = "pairs" if len(source["text"]) == 2 else "one text"
    labels = node["labels"]
    return f"{texts}, {'a number' if labels is None else f'{len(labels)} classes'}"


def metric_names(node: dict[str, Any]) -> list[str]:
    """Returns the names of a data set's metrics, the monitored one first."""
    return [node["monitor"], *(name for name in node["metrics"] if name != node["monitor"])]
