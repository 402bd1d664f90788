"""`Packing`: conversion between one row of all sequences and a padded batch."""

import torch

from clsnorm.model.encoder.packing import Packing, packed_attention, packed_mask

LENGTHS = torch.tensor([3, 1, 4])


def test_padding_and_unpadding_undo_each_other():
    packing, tokens = Packing.of(LENGTHS, torch.device("cpu")), torch.arange(1.0, 17).view(8, 2)
    padded = packing.pad(tokens)
    assert padded.shape == (3, 4, 2)
    assert torch.equal(packing.unpad(padded), tokens)
    assert torch.equal(padded.abs().sum(-1) > 0, packing.mask)
    assert packing.mask.sum(1).tolist() == LENGTHS.tolist()


def test_equal_lengths_need_no_mask():
    packing = Packing.of(torch.tensor([2, 2]), torch.device("cpu"))
    assert packing.mask is None
    assert packing.attention_mask() is None
    assert packing.attention_mask(window=2) is None
    assert packing.attention_mask(window=1).tolist() == [[True, False], [False, True]]


def test_a_window_hides_keys_that_are_too_far_away():
    mask = Packing.of(LENGTHS, torch.device("cpu")).attention_mask(window=2)
    assert mask.shape == (3, 1, 4, 4)
    for row, length in enumerate(LENGTHS.tolist()):
        for query in range(4):
            seen = [key for key in range(4) if key < length and abs(query - key) < 2]
            assert mask[row, 0, query].nonzero().flatten().tolist() == seen


def test_a_packed_sequence_attends_as_if_it_were_alone():
    query, key, value = torch.randn(3, 1, 2, 8, 5, generator=torch.Generator().manual_seed(0))
    packed, _ = packed_attention(None, query, key, value, None, packing=Packing.of(LENGTHS, torch.device("cpu")))
    for part in (slice(0, 3), slice(3, 4), slice(4, 8)):
        alone = torch.nn.functional.scaled_dot_product_attention(*(x[:, :, part] for x in (query, key, value)))
        torch.testing.assert_close(packed[0, part], alone[0].transpose(0, 1))


def test_a_packed_batch_has_no_mask_of_transformers():
    assert packed_mask() is None
