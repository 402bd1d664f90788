"""Gradients during a run: of each example at [CLS], of the parameters by part, and rules that detect failures."""

from clsnorm.gradients.detectors import Explosion, GradientAlarms, Vanishing, Verdict
from clsnorm.gradients.examples import ExampleGradients, Examples, GradientWindow
from clsnorm.gradients.parameters import ParameterNorms, depth_profile, part_names
from clsnorm.gradients.summary import direction_numbers, norm_numbers, overlap_numbers

__all__ = [
    "ExampleGradients",
    "Examples",
    "Explosion",
    "GradientAlarms",
    "GradientWindow",
    "ParameterNorms",
    "Vanishing",
    "Verdict",
    "depth_profile",
    "direction_numbers",
    "norm_numbers",
    "overlap_numbers",
    "part_names",
]
