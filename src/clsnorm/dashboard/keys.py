"""Every number that a run logs: its name, its unit and what it says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

SPLITS = "(start|train|select|report[a-z_]*)"
PLACES = r"(h|z|layer\d\d|pooler_pre|pooler)"
CLS = rf"(last/)?cls/{SPLITS}/{PLACES}"
GRADIENTS = "(h|h_of_sum|z)"
PART = r"(embeddings|pooler|normalizer|head|layer\d\d/(attention|ffn|norm))"


@dataclass(frozen=True)
class Key:
    """One logged number, or a family of them.

    Attributes:
        name: As documentation writes it.
        pattern: Regular expression of the whole name.
        unit: Of the value: ``nats``, ``share`` (0 to 1), ``count``, ``ratio``, or ``norm`` (Euclidean).
        meaning: One sentence.
    """

    name: str
    pattern: str
    unit: str
    meaning: str

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern)


KEYS = (
    Key("train/loss", "train/loss", "nats", "Mean loss of the global batch; squared error in regression."),
    Key(
        "{split}/loss",
        r"(last/)?(select|report[a-z_]*)/loss",
        "nats",
        "Mean loss of a split; `last/` for the last weights instead of the selected ones.",
    ),
    Key(
        "{split}/{metric}",
        r"(last/)?(select|report[a-z_]*)/[a-z0-9_]+",
        "metric",
        "The data set's metrics, by their name in its YAML.",
    ),
    Key(
        "cls/{split}/{place}/centred_share",
        f"{CLS}/centred_share",
        "share",
        "The mean's share in the mean square of [CLS], before (`h`) and after (`z`) the normalizer; 0 if centred. "
        "Places are also `layer00`, ... and the pooler, if asked for. The split `start` is select before training, and "
        "`train` is the batches of the last steps, with dropout.",
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
        "How evenly directions share the variance of [CLS]: 0 one alone, 1 all alike.",
    ),
    Key("cls/{split}/{place}/average_cosine", f"{CLS}/average_cosine", "cosine", "Mean cosine of two different texts."),
    Key(
        "cls/{split}/{place}/effective_rank",
        f"{CLS}/effective_rank",
        "count",
        "exp of the entropy of the eigenvalues' shares; at most the number of examples.",
    ),
    Key(
        "cls/{split}/{place}/{family}/{name}",
        rf"{CLS}/(?!distribution)[a-z]+/[a-z0-9_]+",
        "see there",
        "Any other [statistic of embeddings](statistics.md) that `callbacks.cls_statistics.numbers` names.",
    ),
    Key(
        "cls/noise/{number}",
        "cls/noise/[a-z0-9_/]+",
        "see there",
        "What as many rows of isotropic noise show of a statistic (for classes: labels at random), where that is "
        "known and the same at any point.",
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
        "How far the dimensions' spreads have moved since then, as the root mean square of their logarithms.",
    ),
    Key(
        "cls/select/staleness/shape",
        "(last/)?cls/select/staleness/shape",
        "ratio",
        "How far the covariance of z has moved since then, relative to its Frobenius norm; where a matrix made z.",
    ),
    Key(
        "cls/select/{point}/distribution/{mean,std,norm}",
        "cls/select/(h|z)/distribution/(mean|std|norm)",
        "norm",
        "Histogram (W&B alone) of the dimensions' means and standard deviations, and of the examples' norms.",
    ),
    Key(
        "cls/{report}/dimensions",
        "cls/report[a-z_]*/dimensions",
        "norm",
        "Table (W&B alone) of each dimension's mean and standard deviation, at the end.",
    ),
    Key(
        "predictions/select/largest_share",
        "(last/)?predictions/select/largest_share",
        "share",
        "Share of the select split that gets the most frequent answer; 1: one answer to all.",
    ),
    Key(
        "head/{first_step,first_step_of_identity}",
        "head/first_step(_of_identity)?",
        "logits",
        "How far a sign-like step of unit size of the fresh head moves the logits, with the normalizer and without; in "
        "`results.json`.",
    ),
    Key("head/rate", "head/rate", "ratio", "Factor of the head's learning rate: 1 unless `classifier.rate_matched`."),
    Key(
        "saturation/select/{part}",
        "(last/)?saturation/select/(pooler|normalizer)",
        "share",
        "Share of the values of [CLS] where the pooler's tanh or the normalizer is flat, so that no gradient passes.",
    ),
    Key(
        "events/{kind}",
        "events/(resumed|recalibrated|non_finite|skipped_step|explosion|vanishing|majority_collapse|saturation)",
        "count",
        "Events of a kind so far, as `events.csv` tells them one by one; in loggers, not in `metrics.csv`.",
    ),
    Key(
        "grad/{point}/{mean,median,p95,p99,max}",
        rf"grad/((run/)?{GRADIENTS}|run/gain_bound)/(mean|median|p95|p99|max)",
        "norm",
        "Norms of the gradients of single examples' own losses, of all steps since the last logged one; `run/`: of all "
        "steps.",
    ),
    Key("grad/{point}/mean_norm", f"grad/{GRADIENTS}/mean_norm", "norm", "Norm of the mean gradient."),
    Key("grad/{point}/agreement", f"grad/{GRADIENTS}/agreement", "cosine", "Mean cosine of two examples' gradients."),
    Key(
        "grad/{point}/signal_to_noise",
        f"grad/{GRADIENTS}/signal_to_noise",
        "ratio",
        "Squared mean over total variance of the gradients, without bias: 0 on average for random directions.",
    ),
    Key(
        "grad/{point}/noise_scale",
        f"grad/{GRADIENTS}/noise_scale",
        "count",
        "Examples in a batch at which noise and signal are equal; infinite where no signal is found.",
    ),
    Key(
        "grad/{point}/top_energy_share",
        f"grad/{GRADIENTS}/top_energy_share",
        "share",
        "Share of the largest dimensions in the gradients' mean square.",
    ),
    Key(
        "grad/{point}/participation_ratio",
        f"grad/{GRADIENTS}/participation_ratio",
        "count",
        "How many dimensions share the gradients' mean square.",
    ),
    Key(
        "grad/h/top_overlap",
        f"grad/{GRADIENTS}/top_overlap",
        "share",
        "Jaccard index of the largest dimensions of the gradients and of the embeddings.",
    ),
    Key(
        "grad/h/rank_correlation",
        f"grad/{GRADIENTS}/rank_correlation",
        "correlation",
        "Spearman's correlation of the dimensions' mean squares in gradients and embeddings.",
    ),
    Key("grad/gain", "grad/gain", "ratio", "Mean gradient norm before the normalizer over that after it."),
    Key("grad/rms_gain", "grad/rms_gain", "ratio", "The same of root mean squares."),
    Key(
        "grad/gain_bound",
        "grad/gain_bound",
        "ratio",
        "What `grad/rms_gain` cannot exceed, nor `grad/gain` where the normalizer does not mix the batch: the largest "
        "singular value of its Jacobian among the examples.",
    ),
    Key(
        "grad/parameters/{part}",
        rf"grad/parameters/({PART}|total)",
        "norm",
        "Norm of the step's parameter gradients before clipping, by part; NaN in a step that AMP skipped.",
    ),
    Key("grad/clipped/{part}", rf"grad/clipped/({PART}|total)", "norm", "The same after clipping."),
    Key(
        "grad/clip_coefficient",
        "grad/clip_coefficient",
        "ratio",
        "Norm of all parameter gradients after clipping over that before it: 1 where nothing was clipped.",
    ),
    Key(
        "grad/update_ratio/{part}",
        rf"grad/update_ratio/{PART}",
        "ratio",
        "Norm of the step's change over the norm of the weights, by part.",
    ),
    Key("grad/depth/bottom", "grad/depth/bottom", "norm", "Gradient norm of the first layer."),
    Key(
        "grad/depth/bottom_to_top",
        "grad/depth/bottom_to_top",
        "ratio",
        "Gradient norm of the first layer over that of the last.",
    ),
    Key(
        "grad/depth/log_slope",
        "grad/depth/log_slope",
        "per layer",
        "Slope of the log gradient norm over the layers; positive where gradients shrink toward the input.",
    ),
)


def key_of(name: str) -> Key | None:
    """Returns the first of `KEYS` that ``name`` belongs to, or None."""
    return next((key for key in KEYS if key.regex.fullmatch(name)), None)
