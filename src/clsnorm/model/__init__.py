"""From a batch to a fine-tuned classifier: encoder, head, scores and the LightningModule."""

from clsnorm.model.classifier import Classifier, Output
from clsnorm.model.encoder.checkpoint import has_pooler
from clsnorm.model.encoder.encoder import Embeddings, Encoder
from clsnorm.model.encoder.tokenizer import load_tokenizer
from clsnorm.model.encoder.weights import locate
from clsnorm.model.finetuner import FineTuner
from clsnorm.model.head import CosineHead, fold
from clsnorm.model.sharding import FullyShardedStrategy

__all__ = [
    "Classifier",
    "CosineHead",
    "Embeddings",
    "Encoder",
    "FineTuner",
    "FullyShardedStrategy",
    "Output",
    "fold",
    "has_pooler",
    "load_tokenizer",
    "locate",
]
