"""Plots of what a run logged: one layout for a local HTML page and for a Weights & Biases workspace. No torch."""

from clsnorm.dashboard.keys import KEYS, key_of
from clsnorm.dashboard.layout import SECTIONS, Panel, Section, sections_for
from clsnorm.dashboard.logged_key import Key

__all__ = ["KEYS", "SECTIONS", "Key", "Panel", "Section", "key_of", "sections_for"]
