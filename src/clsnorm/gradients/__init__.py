"""Gradients during a run: of each example, at tokens, of parameters by part; rules that detect failures."""

from clsnorm.gradients.curvature import Curvature, Eigenvalue, largest_eigenvalue
from clsnorm.gradients.detectors import GradientAlarms, Vanishing
from clsnorm.gradients.examples import ExampleGradients, Examples, GradientWindow
from clsnorm.gradients.explosion import Explosion, Finding, HighLevel
from clsnorm.gradients.head_gradients import bound_at_z, head_gram, head_norms
from clsnorm.gradients.parameters import ParameterNorms, depth_profile, part_names
from clsnorm.gradients.run_gradients import RunGradients
from clsnorm.gradients.steps import RunSeries, StepVectors, clip_coefficient, clip_summary, step_summary
from clsnorm.gradients.summary import direction_numbers, norm_numbers, overlap_numbers
from clsnorm.gradients.tokens import TokenGradients

__all__ = [
    "Curvature",
    "Eigenvalue",
    "ExampleGradients",
    "Examples",
    "Explosion",
    "Finding",
    "GradientAlarms",
    "GradientWindow",
    "HighLevel",
    "ParameterNorms",
    "RunGradients",
    "RunSeries",
    "StepVectors",
    "TokenGradients",
    "Vanishing",
    "bound_at_z",
    "clip_coefficient",
    "clip_summary",
    "depth_profile",
    "direction_numbers",
    "head_gram",
    "head_norms",
    "largest_eigenvalue",
    "norm_numbers",
    "overlap_numbers",
    "part_names",
    "step_summary",
]
