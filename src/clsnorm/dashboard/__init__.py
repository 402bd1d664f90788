"""What a run logged, drawn: one layout for a page on disk and for a Weights & Biases workspace. Imports no torch."""

from clsnorm.dashboard.keys import KEYS, Key, key_of
from clsnorm.dashboard.layout import SECTIONS, Panel, Section, sections_for

__all__ = ["KEYS", "SECTIONS", "Key", "Panel", "Section", "key_of", "sections_for"]
