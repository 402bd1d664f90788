"""A classifier whose parameters have all parts and depths."""

import pytest

from clsnorm.model.classifier import Classifier
from clsnorm.model.encoder.encoder import Encoder
from clsnorm.normalizers import LayerNorm


@pytest.fixture
def classifier(tiny):
    encoder = Encoder(tiny("bert"), tap="pooler")
    return Classifier(encoder, LayerNorm(24, eps=1e-5, affine=True), num_outputs=2, seed_init=0)
