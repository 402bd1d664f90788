"""Every number that a run logs: name, unit and meaning."""

from __future__ import annotations

from clsnorm.dashboard.gradient_keys import GRADIENT_KEYS
from clsnorm.dashboard.logged_key import Key

SPLITS = "(start|train|select|report[a-z_]*)"
PLACES = r"(h|z|layer\d\d|pooler_pre|pooler)"
CLS = rf"(last/)?cls/{SPLITS}/{PLACES}"

KEYS = (
    Key(
        "train/loss",
        "train/loss",
        "nats",
        "Mean training loss over all examples of the optimizer step, with the weights and the smoothing of "
        "[`loss`](losses.md).",
    ),
    Key(
        "{split}/loss",
        r"(last/)?(select|report[a-z_]*)/loss",
        "nats",
        "Mean loss over a split, the plain one: cross-entropy, or squared error in regression. The prefix `last/` "
        "means the last weights instead of the selected ones.",
    ),
    Key(
        "{split}/{metric}",
        r"(last/)?(select|report[a-z_]*)/[a-z0-9_]+",
        "metric",
        "A metric of the data set, under its name in the YAML.",
    ),
    Key(
        "cls/{split}/{place}/centred_share",
        f"{CLS}/centred_share",
        "share",
        "Share of the mean in the mean square of [CLS], before (`h`) and after (`z`) the normalizer; 0 if centred. "
        "With `callbacks.cls_statistics.layers` the places also include `layer00`, ... and the pooler. The split "
        "`start` is select before training; `train` is the batches of the last steps, with dropout.",
    ),
    Key(
        "cls/{split}/{place}/top_energy_share",
        f"{CLS}/top_energy_share",
        "share",
        "Share of the 5 largest dimensions in the mean square of [CLS].",
    ),
    Key(
        "cls/{split}/{place}/isoscore",
        f"{CLS}/isoscore",
        "share",
        "How evenly the variance of [CLS] is spread over directions: 0 if one holds all of it, 1 if all hold the same.",
    ),
    Key(
        "cls/{split}/{place}/average_cosine",
        f"{CLS}/average_cosine",
        "cosine",
        "Mean cosine between two different texts.",
    ),
    Key(
        "cls/{split}/{place}/effective_rank",
        f"{CLS}/effective_rank",
        "count",
        "Exponential of the entropy of the normalized eigenvalues; at most the number of examples.",
    ),
    Key(
        "cls/{split}/{place}/{family}/{name}",
        rf"{CLS}/(?!distribution)[a-z]+/[a-z0-9_]+",
        "see there",
        "Any other [statistic of embeddings](statistics.md) listed in `callbacks.cls_statistics.numbers`.",
    ),
    Key(
        "cls/noise/{number}",
        "cls/noise/[a-z0-9_/]+",
        "see there",
        "Value of a statistic for isotropic noise of as many rows (for statistics of classes: random labels), where it "
        "is known and the same at every place.",
    ),
    Key(
        "cls/select/staleness/shift",
        "(last/)?cls/select/staleness/shift",
        "ratio",
        "How far the dimensions' centres have moved since the normalizer was calibrated, in standard deviations.",
    ),
    Key(
        "cls/select/staleness/stretch",
        "(last/)?cls/select/staleness/stretch",
        "nats",
        "How far the spreads of the dimensions have changed since then: root mean square of the log ratios.",
    ),
    Key(
        "cls/select/staleness/shape",
        "(last/)?cls/select/staleness/shape",
        "ratio",
        "How far the covariance of z has moved since then, relative to its Frobenius norm; only for normalizers that "
        "apply a matrix.",
    ),
    Key(
        "cls/select/{point}/distribution/{mean,std,norm}",
        "cls/select/(h|z)/distribution/(mean|std|norm)",
        "norm",
        "Histogram (W&B only) of the means and standard deviations of dimensions, and of the norms of examples.",
    ),
    Key(
        "cls/{report}/dimensions",
        "cls/report[a-z_]*/dimensions",
        "norm",
        "Table (W&B only) of each dimension's mean and standard deviation, at the end.",
    ),
    Key(
        "predictions/select/largest_share",
        "(last/)?predictions/select/largest_share",
        "share",
        "Share of the select split that gets the most frequent prediction; 1 if all examples get the same one.",
    ),
    Key(
        "head/{part}_step{,_unmatched,_of_identity}",
        "head/(total|specific|common)_step(_unmatched|_of_identity)?",
        "logits",
        "How far the optimizer's first step moves the logits of a fresh head, over the learning rate: all of it, the "
        "part that differs between examples, the part that they share; as in this run, before `classifier.match_step`, "
        "with the identity. Only in `results.json`.",
    ),
    Key(
        "head/{weight,bias}_rate",
        "head/(weight|bias)_rate",
        "ratio",
        "Factors on the head's learning rate, of its weight and its bias; 1 if `classifier.match_step` is `none`.",
    ),
    Key(
        "head/noise_over_signal{,_unmatched,_of_identity}",
        "head/noise_over_signal(_unmatched|_of_identity)?",
        "ratio",
        "Standard deviation of the logits over dropout masks, over that between examples, of a fresh linear head; as "
        "in this run, before `classifier.match_noise`, with the identity.",
    ),
    Key(
        "head/dropout",
        "head/dropout",
        "share",
        "Probability of dropout between normalizer and head; `classifier.dropout` unless `classifier.match_noise` is "
        "true.",
    ),
    Key(
        "saturation/select/{part}",
        "(last/)?saturation/select/(pooler|normalizer)",
        "share",
        "Share of the values of [CLS] where the pooler's tanh or the normalizer is flat, so no gradient passes.",
    ),
    Key(
        "train/{regularizer,regularizer_scaled}",
        "train/regularizer(_scaled)?",
        "see page",
        "Term of the [regularizer](regularizers.md), the mean over the batches of the optimizer step weighted by their "
        "examples, without and with its weight. `train/loss` does not include it.",
    ),
    Key(
        "z/train_eval_gap",
        "z/train_eval_gap",
        "ratio",
        "Root mean square of the difference between the normalizer's output in training and that in evaluation, on the "
        "examples of a logged step, relative to the latter; only for normalizers with batch statistics.",
    ),
    Key(
        "events/{kind}",
        "events/(resumed|recalibrated|non_finite|skipped_step|explosion|spike|vanishing|majority_collapse|failure|"
        "saturation)",
        "count",
        "Number of events of a kind so far; in loggers, not in `metrics.csv`. `events.csv` lists each event.",
    ),
    *GRADIENT_KEYS,
)


def key_of(name: str) -> Key | None:
    """Returns the first of `KEYS` whose pattern matches ``name``, or None."""
    return next((key for key in KEYS if key.regex.fullmatch(name)), None)
