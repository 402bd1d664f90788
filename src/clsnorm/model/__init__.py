"""From a batch to a fine-tuned classifier: encoder, head, optimizers, schedules and the LightningModule."""

from clsnorm.model.checkpoint import has_pooler
from clsnorm.model.classifier import Classifier, Output
from clsnorm.model.encoder import Embeddings, Encoder
from clsnorm.model.finetuner import FineTuner
from clsnorm.model.head import CosineHead, fold
from clsnorm.model.weights import load_tokenizer, locate

__all__ = [
    "Classifier",
    "CosineHead",
    "Embeddings",
    "Encoder",
    "FineTuner",
    "Output",
    "fold",
    "has_pooler",
    "load_tokenizer",
    "locate",
]
