"""Continued pretraining: masked-language-model training of an encoder on the texts of the data sets found here."""

from clsnorm.pretraining.continuation import continue_pretraining
from clsnorm.pretraining.masked_language_model import MaskedLanguageModel
from clsnorm.pretraining.recipe import Recipe

__all__ = ["MaskedLanguageModel", "Recipe", "continue_pretraining"]
