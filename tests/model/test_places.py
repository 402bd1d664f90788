"""The places of [CLS] in a classifier."""

import pytest
import torch

from clsnorm.model import Classifier, Encoder
from clsnorm.model.places import head_input, last_layer, places, tapping
from clsnorm.normalizers import Identity, LayerNorm


@pytest.mark.parametrize(("tap", "head"), [("hidden", "layer03"), ("pooler_pre", "pooler_pre"), ("pooler", "pooler")])
def test_the_head_reads_the_tap_or_z(tap, head, tiny, make_batch):
    encoder, batch = Encoder(tiny("bert"), tap=tap).eval(), make_batch([5, 3])
    with torch.no_grad():
        plain = Classifier(encoder, Identity(24), num_outputs=2, seed_init=0).eval()
        found = places(plain, batch)
        assert head_input(plain, found) == head
        torch.testing.assert_close(found[head], encoder(batch).cls)
        normalized = Classifier(encoder, LayerNorm(24), num_outputs=2, seed_init=0).eval()
        found = places(normalized, batch)
        assert head_input(normalized, found) == "z"
        torch.testing.assert_close(found["z"], normalized(batch).z)
    pooled = set() if tap == "hidden" else {"pooler_pre", "pooler"}
    assert set(found) == {"layer00", "layer01", "layer02", "layer03", "z"} | pooled
    assert last_layer(found) == "layer03"


def test_tapping_ends_with_its_block(tiny, make_batch):
    encoder, batch = Encoder(tiny("bert")).eval(), make_batch([5, 3])
    with torch.no_grad(), tapping(encoder) as found:
        embeddings = encoder(batch)
        assert torch.equal(found["layer03"], embeddings.layers[3])
    assert encoder(batch).layers is None
