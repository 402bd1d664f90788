"""Loss terms on [CLS] embeddings, added to the mean loss of a batch."""

from clsnorm.regularizers.regularizer import Regularizer, Unregularized
from clsnorm.regularizers.terms import CosReg, IStar, VICReg

__all__ = ["CosReg", "IStar", "Regularizer", "Unregularized", "VICReg"]
