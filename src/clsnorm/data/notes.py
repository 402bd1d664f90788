"""The record of a run's data for its results, and one-line notes and warnings for the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clsnorm.config.spelling import fold, same, shown, spell
from clsnorm.data.formats.faults import names_of
from clsnorm.data.rows.labels import absent_classes
from clsnorm.data.rows.look_alikes import label_warnings
from clsnorm.data.sources.source import LABEL, NO_LABEL
from clsnorm.data.tokens.preparation import Preparation
from clsnorm.data.tokens.prepared import Prepared
from clsnorm.data.tokens.tokenization import truncation_rule

MANY_CUT = 0.01
MANY_UNKNOWN = 0.2


def source_record(preparation: Preparation, prepared: Prepared) -> dict[str, Any]:
    """Returns where the rows came from and how they were processed, as plain values.

    Returns:
        ``kind`` and ``location`` of the source; ``sha256`` of its content; ``labels``: class names in the order of
        their ids, None for regression, and ``labels_found``: whether they were found in train; ``absent``: classes
        without a row in each split but train; ``rows`` of each split, before a subset is drawn; ``published`` rows of
        each part; ``drops`` of each part by reason; ``spellings``: of each part, rows of each label of the files by
        class; ``unused``: labels to leave out that no row has; ``copies``: the counts of
        `clsnorm.data.rows.leakage.report`, and ``leaked``, the exact ones; ``truncation``: the rule by which rows lose
        tokens; ``truncated``: used rows that did, and their ``truncated_share``; ``unknown_share`` of the tokens.
    """
    source, record, tokens = preparation.source, prepared.record, prepared.tokens
    used = prepared.used
    cut = {split: int(part.truncated[used[split]].sum()) for split, part in tokens.items()}
    tokenizer = preparation.tokenizer
    return {
        "kind": source.kind,
        "location": {split: source.location(preparation.root, split) for split in source.splits},
        "sha256": prepared.content,
        "labels": prepared.labels,
        "labels_found": prepared.labels is not None and preparation.facts.labels is None,
        "rows": record["sizes"],
        **{key: record[key] for key in ("published", "drops", "copies", "spellings")},
        "unused": _unused(source.names or {}, record["drops"]),
        "absent": {
            split: absent_classes(part.labels, prepared.labels)
            for split, part in tokens.items()
            if prepared.labels and split != "train"
        },
        "leaked": {split: counts["exact"] for split, counts in record["copies"].items() if split != "train"},
        "truncation": truncation_rule(pairs=len(source.text) == 2),
        "truncated": cut,
        "truncated_share": {split: count / len(used[split]) for split, count in cut.items()},
        "unknown_share": {split: part.unknown_share(used[split], tokenizer) for split, part in tokens.items()},
    }


def notes(record: Mapping[str, Any]) -> Iterator[str]:
    """Yields what is notable in a record: classes that were found, drops, copies across splits, many truncated rows."""
    if record["labels_found"]:
        names = record["labels"]
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        yield f"found {len(names)} classes in train: {shown} (set data.labels for others, or another order)"
    for split, classes in record["spellings"].items():
        for name, rows in classes.items():
            if len(rows) > 1:
                listed = ", ".join(f"{label!r} ({count})" for label, count in rows.items())
                yield f"labels of {split} that are all class {name!r} (rows): {listed}"
    for split, names in record["absent"].items():
        if names:
            yield f"no row of {split} is of class {names_of(names)}"
    yield from notes_on_rows(record)
    for split, share in record["truncated_share"].items():
        if share > MANY_CUT:
            yield (
                f"{record['truncated'][split]} rows of {split} ({share:.1%}) are longer than data.max_length and lose "
                "tokens"
            )


def warnings(record: Mapping[str, Any]) -> Iterator[str]:
    """Yields likely mistakes: a tokenizer that does not suit the text, classes that are probably mistakes."""
    for split, share in record["unknown_share"].items():
        if share > MANY_UNKNOWN:
            yield (
                f"the model's tokenizer does not suit the text: it does not know {share:.0%} of the tokens of {split}. "
                "Use a model that was trained on the language of the text"
            )
    for label in record["unused"]:
        yield f"no row has label {label!r}, which is to be left out"
    if record["labels_found"]:
        train = record["spellings"]["train"]
        yield from label_warnings({name: sum(rows.values()) for name, rows in train.items()})


def notes_on_rows(record: Mapping[str, Any]) -> Iterator[str]:
    """Yields what is notable in ``published``, ``drops``, ``rows`` and ``copies``, which need no tokenizer."""
    for split, reasons in record["drops"].items():
        total, listed = sum(reasons.values()), ", ".join(f"{reason} {count}" for reason, count in reasons.items())
        yield f"dropped {total} rows of {split}: {listed}"  # `published` may not count all of them
    for split, counts in record["copies"].items():
        if counts["near"]:
            what = "repeat an earlier one" if split == "train" else "occur in train too"
            yield (
                f"{counts['near']} of {record['rows'][split]} rows of {split} {what} (letter for letter: "
                f"{counts['exact']}); with another label: {counts['near_relabelled']}"
            )
        if counts.get("near_select"):
            yield f"{counts['near_select']} of {record['rows'][split]} rows of {split} occur in select too"


def _unused(names: Mapping[Any, Any], drops: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Returns the labels that a source leaves out but that no row has."""
    reasons = {reason for split in drops.values() for reason in split}
    left_out = [reason.removeprefix(LABEL) for reason in reasons if reason.startswith(LABEL)]
    left_out += [""] if NO_LABEL in reasons else []
    unused = [key for key, name in names.items() if name is None]
    return [shown(k) for k in unused if not any(same(k, label) or fold(spell(k)) == fold(label) for label in left_out)]
