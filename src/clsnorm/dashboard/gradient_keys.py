"""The numbers that `GradientNorms` and `Sharpness` log."""

from __future__ import annotations

from clsnorm.dashboard.logged_key import Key

GRADIENTS = "(h|h_of_sum|z)"
NORMS = "(h|h_of_sum|z|below_norm|below_norm_of_sum|head_weight|head_bias)"
PART = r"(embeddings|pooler|normalizer|head|body|layer\d\d/(attention|ffn|norm))"
STEPS = f"({NORMS}/(max|mean)|parameters/(embeddings|pooler|normalizer|head|body|total))"

GRADIENT_KEYS = (
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
        "Bound on a gradient at z with a linear head, from the loss, the head's weights and its dropout.",
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
