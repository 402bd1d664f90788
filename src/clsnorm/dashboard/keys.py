"""Every number that a run logs: name, unit and meaning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

SPLITS = "(start|train|select|report[a-z_]*)"
PLACES = r"(h|z|layer\d\d|pooler_pre|pooler)"
CLS = rf"(last/)?cls/{SPLITS}/{PLACES}"
GRADIENTS = "(h|h_of_sum|z)"
NORMS = "(h|h_of_sum|z|below_norm|below_norm_of_sum|head_weight|head_bias)"
PART = r"(embeddings|pooler|normalizer|head|body|layer\d\d/(attention|ffn|norm))"
STEPS = f"({NORMS}/(max|mean)|parameters/(embeddings|pooler|normalizer|head|body|total))"


@dataclass(frozen=True)
class Key:
    """One logged number, or a family of them.

    Attributes:
        name: Name in the documentation.
        pattern: Regular expression for the whole name.
        unit: Unit of the value: ``nats``, ``share`` (0 to 1), ``count``, ``ratio``, or ``norm`` (Euclidean).
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
    Key(
        "train/loss",
        "train/loss",
        "nats",
        "Mean loss over all examples of the optimizer step: cross-entropy, or squared error in regression.",
    ),
    Key(
        "{split}/loss",
        r"(last/)?(select|report[a-z_]*)/loss",
        "nats",
        "Mean loss over a split. The prefix `last/` means the last weights instead of the selected ones.",
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
    Key(
        "grad/{point}/{mean,median,p95,p99,max}",
        rf"grad/((run/)?{NORMS}|run/gain_bound)/(mean|median|p95|p99|max)",
        "norm",
        "Norms of the per-example gradients (each of the example's own loss) over all steps since the last logged one; "
        "`run/`: over all steps of the run. Points: `h` and `z` before and after the normalizer, `below_norm` below "
        "the encoder's last layer norm, `head_weight` and `head_bias` at the parameters of the head.",
    ),
    Key(
        "grad/z/bound",
        "grad/z/bound",
        "norm",
        "Bound on a gradient at z with a linear head and cross-entropy, from the head's weights and its dropout.",
    ),
    Key(
        "grad/layer{number}/cls",
        r"grad/layer\d\d/cls",
        "norm",
        "Root mean square gradient at [CLS] after a layer (`layer00`: after the embedding layer) in the logged step.",
    ),
    Key(
        "grad/layer{number}/cls_to_others",
        r"grad/layer\d\d/cls_to_others",
        "ratio",
        "The same number over the root mean square gradient at one of the other tokens.",
    ),
    Key("grad/{point}/mean_norm", f"grad/{GRADIENTS}/mean_norm", "norm", "Norm of the mean gradient."),
    Key(
        "grad/{point}/agreement",
        f"grad/{GRADIENTS}/agreement",
        "cosine",
        "Mean cosine between the gradients of two examples.",
    ),
    Key(
        "grad/{point}/signal_to_noise",
        f"grad/{GRADIENTS}/signal_to_noise",
        "ratio",
        "Squared norm of the mean gradient, estimated without bias, over the total variance: about 0 for random "
        "directions.",
    ),
    Key(
        "grad/{point}/noise_scale",
        f"grad/{GRADIENTS}/noise_scale",
        "count",
        "Batch size at which noise and signal are equal; infinite if no signal is found.",
    ),
    Key(
        "grad/{point}/top_energy_share",
        f"grad/{GRADIENTS}/top_energy_share",
        "share",
        "Share of the largest dimensions in the mean square of the gradients.",
    ),
    Key(
        "grad/{point}/participation_ratio",
        f"grad/{GRADIENTS}/participation_ratio",
        "count",
        "Effective number of dimensions that hold the mean square of the gradients.",
    ),
    Key(
        "grad/h/top_overlap",
        f"grad/{GRADIENTS}/top_overlap",
        "share",
        "Jaccard index between the largest dimensions of the gradients and those of the embeddings.",
    ),
    Key(
        "grad/h/rank_correlation",
        f"grad/{GRADIENTS}/rank_correlation",
        "correlation",
        "Spearman correlation between the mean squares of the dimensions in gradients and in embeddings.",
    ),
    Key("grad/gain", "grad/gain", "ratio", "Mean gradient norm before the normalizer over the mean norm after it."),
    Key("grad/rms_gain", "grad/rms_gain", "ratio", "The same ratio for root mean squares."),
    Key(
        "grad/gain_bound",
        "grad/gain_bound",
        "ratio",
        "Largest singular value of the normalizer's Jacobian over the examples: an upper bound on `grad/rms_gain`, and "
        "on `grad/gain` if the normalizer does not mix the batch.",
    ),
    Key(
        "grad/parameters/{part}",
        rf"grad/parameters/({PART}|total)",
        "norm",
        "Norm of the parameter gradients before clipping, by part of the model; NaN in a step that AMP skipped. `body` "
        "is the encoder without the layer norm that outputs its last hidden state.",
    ),
    Key("grad/clipped/{part}", rf"grad/clipped/({PART}|total)", "norm", "The same norm after clipping."),
    Key(
        "grad/clip_coefficient",
        "grad/clip_coefficient",
        "ratio",
        "Norm of all parameter gradients after clipping over the norm before; 1 if nothing was clipped.",
    ),
    Key(
        "grad/update_ratio/{part}",
        rf"grad/update_ratio/{PART}",
        "ratio",
        "Norm of the update over the norm of the weights, by part of the model.",
    ),
    Key(
        "grad/steps/{series}/start/{max,median}",
        f"grad/steps/{STEPS}/start/(max|median)",
        "norm",
        "Over the first tenth of a run's steps, of the norm in each step: of a parameter gradient before clipping, or "
        "of an example's gradient (`max`: the largest in a step; `mean`: their mean); only in `results.json`.",
    ),
    Key(
        "grad/steps/{series}/run/{max,median}",
        f"grad/steps/{STEPS}/run/(max|median)",
        "norm",
        "The same over all steps of the run.",
    ),
    Key(
        "grad/steps/{series}/growth/log_slope",
        f"grad/steps/{STEPS}/growth/log_slope",
        "per step",
        "Slope of the logarithm of that norm over the steps, by least squares.",
    ),
    Key(
        "grad/steps/{series}/growth/end_to_start",
        f"grad/steps/{STEPS}/growth/end_to_start",
        "ratio",
        "Median of that norm over the last tenth of the steps, over its median in the first tenth.",
    ),
    Key(
        "grad/steps/clipped_share",
        "grad/steps/clipped_share",
        "share",
        "Share of a run's steps whose gradients were clipped; only in `results.json`.",
    ),
    Key(
        "grad/steps/clip_coefficient/{median,min}",
        "grad/steps/clip_coefficient/(median|min)",
        "ratio",
        "Factor that clipping multiplied the gradients by, over all steps of a run; only in `results.json`.",
    ),
    Key(
        "sharpness/{gauss_newton,hessian}",
        "sharpness/(gauss_newton|hessian)",
        "curvature",
        "Largest eigenvalue of the Gauss-Newton matrix, or Hessian, of the mean loss over a fixed sample of training "
        "examples, by all trainable parameters, before the step.",
    ),
    Key("sharpness/head", "sharpness/head", "curvature", "The same for the head's parameters alone."),
    Key(
        "sharpness/residual",
        "sharpness/residual",
        "ratio",
        "Relative residual of `sharpness/gauss_newton`: an eigenvalue lies within this share of it.",
    ),
    Key("sharpness/iterations", "sharpness/iterations", "count", "Products with a vector that it took."),
    Key(
        "sharpness/rate_times",
        "sharpness/rate_times",
        "ratio",
        "`sharpness/gauss_newton` times the largest learning rate of the step.",
    ),
    Key(
        "sharpness/preconditioned",
        "sharpness/preconditioned",
        "ratio",
        "Largest eigenvalue after Adam's preconditioner, learning rates by parameter over the largest.",
    ),
    Key(
        "sharpness/edge",
        "sharpness/edge",
        "ratio",
        "Learning rate times the curvature that decides, over the optimizer's threshold; above 1 a step is unstable.",
    ),
    Key(
        "sharpness/run/{max,edge_max}",
        "sharpness/run/(max|edge_max)",
        "see there",
        "Largest `sharpness/gauss_newton` and `sharpness/edge` of the run; only in `results.json`.",
    ),
    Key("grad/depth/bottom", "grad/depth/bottom", "norm", "Gradient norm of the first layer."),
    Key(
        "grad/depth/bottom_to_top",
        "grad/depth/bottom_to_top",
        "ratio",
        "Gradient norm of the first layer over the norm of the last.",
    ),
    Key(
        "grad/depth/log_slope",
        "grad/depth/log_slope",
        "per layer",
        "Slope of the log gradient norm over the layers; positive if gradients shrink toward the input.",
    ),
)


def key_of(name: str) -> Key | None:
    """Returns the first of `KEYS` whose pattern matches ``name``, or None."""
    return next((key for key in KEYS if key.regex.fullmatch(name)), None)
