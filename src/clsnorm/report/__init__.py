"""From many runs to one honest answer: does a normalizer help, hurt, make no difference that matters, or is it open?"""

from clsnorm.report.notebook import load
from clsnorm.report.sweep_table import short_table

__all__ = ["load", "short_table"]
