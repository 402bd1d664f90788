"""Random tables of texts and labels, with cells that readers get wrong."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

WORDS = [
    "good", "bad", "film", "very", "the", "a", "of", "not", "river", "stone", "slow", "plot", "actor", "well", "made",
]  # fmt: skip
ODD = [
    '"', '""', "'", ",", ";", "|", "\\", '\\"', "#", "=1+1", "é", "ü", "ß", "漢字", "😀", "\u2028", "\x85", "\u200b",
    "\xa0", "ﬁ", "e\u0301", "\ufeff", "\u3000", "…", "“so”", "€", "@", "100%", "1,5", "%", "{}", "[1]", "\x0b", "\x1c",
]  # fmt: skip
BREAKS = ["\n", "\r\n", "\r", "\n\n", "\t"]  # only quoted cells, JSON and Parquet can hold them
WHOLE = ["NA", "null", "None", "nan", "42", "3.14", "true", "-", "text", "label", "N/A", "1e5", "x", "#", "''", "0"]
LABELS: list[list[Any]] = [
    ["neg", "pos"], ["neg", "neu", "pos"], ["0", "1"], ["1", "2", "3", "4", "5"], ["0.0", "1.0"], ["true", "false"],
    ["TRUE", "FALSE"], ["no", "yes"], ["NA", "a", "b"], ["-", "entailment", "neutral"], ["nan", "null", "None"],
    ["Pos", "pos", "NEG"], ["sehr gut", "sehr schlecht"], ["käse", "wurst"], ["好", "坏"], ["a,b", "c"], ["a;b", "c d"],
    ["-1", "1"], ["A", "B", "C", "D", "E", "F", "G", "H"], ["01", "1", "2"], ["it's", "isn't"], ["label", "text"],
]  # fmt: skip
TYPED: list[list[Any]] = [
    [0, 1], [1, 2, 3], [0.0, 1.0], [0.5, 1.5], [True, False], [-1, 0, 1], [1, "1", "b"], [2**40, 1],
]  # fmt: skip
NAMES = [
    ("text", "label"), ("sentence", "label"), ("Text", "Label"), ("review", "sentiment"), ("Kommentar", "Klasse"),
    ("answer", "verdict"), ("v2", "v1"), ("0", "1"), ("texte", "étiquette"), ("my text", "my label"), ("q", "y"),
    ("sentence1", "sentence2", "gold_label"), ("premise", "hypothesis", "label"), ("question1", "question2", "same"),
]  # fmt: skip
EXTRAS = ["id", "date", "Unnamed: 0", "", "note", "index"]


@dataclass
class RandomTable:
    """What a file should hold.

    Attributes:
        names: Of the columns.
        rows: Their cells.
        texts: Which columns are texts.
        label: Which column is the label.
        regression: Whether labels are numbers to predict.
    """

    names: list[str]
    rows: list[list[Any]]
    texts: list[int]
    label: int
    regression: bool


def random_table(rng: Random, *, typed: bool, breaks: bool, forbidden: str) -> RandomTable:
    """Returns a table of texts and labels with other columns among them.

    Args:
        rng: Draws everything.
        typed: Whether labels may be values, as in JSON and Parquet.
        breaks: Whether cells may hold line breaks.
        forbidden: Characters that no cell may hold.
    """
    *texts, label = rng.choice(NAMES)
    regression = rng.random() < 0.1
    classes = rng.choice(TYPED if typed and rng.random() < 0.5 else LABELS)
    count = rng.choice([2, 3, 5, 8, 12, 20, 40, 60]) + rng.randrange(3)
    columns: dict[str, list[Any]] = {name: [_text(rng, breaks=breaks) for _ in range(count)] for name in texts}
    columns[label] = [_label(rng, i, classes, typed=typed, regression=regression) for i in range(count)]
    for extra in rng.sample(EXTRAS, rng.choice([0, 0, 1, 2])):
        columns[extra] = [_extra(rng, i, extra) for i in range(count)]
    for name in texts:
        columns[name][0] = f"{rng.choice(WORDS)} {columns[name][0]}"  # a column of numbers alone is refused as text
        columns[name][1] = f"{rng.choice(WORDS)} {columns[name][1]}"
    names = list(columns)
    rng.shuffle(names)
    bad = str.maketrans(dict.fromkeys(forbidden, "_"))
    clean = {name: [c.translate(bad) if isinstance(c, str) else c for c in cells] for name, cells in columns.items()}
    rows = [list(row) for row in zip(*(clean[name] for name in names), strict=True)]
    return RandomTable(names, rows, [names.index(name) for name in texts], names.index(label), regression)


def _text(rng: Random, *, breaks: bool) -> str:
    dice = rng.random()
    if dice < 0.03:
        return ""
    if dice < 0.08:
        return rng.choice(WHOLE)
    words = rng.choices(WORDS, k=rng.randrange(2, 9))
    if dice < 0.4:
        for _ in range(rng.randrange(1, 4)):
            words.insert(rng.randrange(len(words) + 1), rng.choice(ODD + (BREAKS if breaks else [])))
    joined = rng.choice([" ", " ", " ", ""]).join(words) if dice < 0.4 else " ".join(words)
    return {0.4: f" {joined}", 0.41: f"{joined} ", 0.42: joined * 50}.get(round(dice, 2), joined)


def _label(rng: Random, row: int, classes: list[Any], *, typed: bool, regression: bool) -> Any:
    if regression:
        number = round(rng.uniform(-5, 5), rng.randrange(5))
        return number if typed else repr(number)
    return classes[row] if row < len(classes) else rng.choice(classes)  # each class has a row, if there are enough


def _extra(rng: Random, row: int, name: str) -> str:
    if name in ("id", "Unnamed: 0", "index"):
        return str(row)
    if name == "date":
        return f"2024-01-{row % 28 + 1:02d}"
    return rng.choice(["", "", "ok", "1.5", "a, b"]) if name == "note" else ""
