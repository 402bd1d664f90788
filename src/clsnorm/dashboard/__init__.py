"""What a run logged, drawn: one layout for a page on disk and for a Weights & Biases workspace. Imports no torch."""

from clsnorm.dashboard.keys import KEYS, Key, key_of
from clsnorm.dashboard.layout import SECTIONS, Panel, Section

__all__ = ["KEYS", "SECTIONS", "Key", "Panel", "Section", "key_of"]
