"""Tiny random encoders of each family, saved to a folder, and batches for them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel

from clsnorm.batches import Batch

PAD = 1  # below every token id that `rows` draws, and the padding row of RoBERTa's positions
_BERT = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 40,
    "pad_token_id": PAD,
}
CONFIGS = {
    "bert": _BERT,
    "roberta": _BERT | {"type_vocab_size": 1},
    "xlm-roberta": _BERT | {"type_vocab_size": 1},
    "electra": _BERT | {"embedding_size": 16},
    "albert": _BERT | {"embedding_size": 16, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1},
    "distilbert": {
        "vocab_size": 60,
        "dim": 24,
        "hidden_dim": 40,
        "n_layers": 3,
        "n_heads": 3,
        "max_position_embeddings": 40,
        "pad_token_id": PAD,
    },
    "modernbert": _BERT
    | {
        "local_attention": 8,  # shorter than the sequences, so that the window matters
        "global_attn_every_n_layers": 3,
        "attention_dropout": 0.1,
        "mlp_dropout": 0.1,
        "embedding_dropout": 0.1,
        "cls_token_id": 2,
        "sep_token_id": 3,
        "bos_token_id": 2,
        "eos_token_id": 3,
    },
    "mpnet": _BERT,
    "deberta": _BERT | {"relative_attention": True, "pos_att_type": "c2p|p2c"},
    "deberta-v2": _BERT
    | {"relative_attention": True, "position_buckets": 8, "pos_att_type": "c2p|p2c", "position_biased_input": False},
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Returns a function from a family (and changes of its config) to the folder of a random model."""
    saved: dict[tuple, str] = {}

    def make(family: str, **changes: object) -> str:
        key = (family, *sorted(changes.items()))
        if key not in saved:
            config = AutoConfig.for_model(family, **(CONFIGS[family] | changes))
            with torch.random.fork_rng():
                torch.manual_seed(0)
                model = AutoModel.from_config(config)
                for parameter in model.parameters():  # trained weights are larger than fresh ones; biases are not zero
                    parameter.data.add_(0.15 * torch.randn_like(parameter))
            folder = tmp_path_factory.mktemp(family)
            model.save_pretrained(folder)
            saved[key] = str(folder)
        return saved[key]

    return make


def _rows(lengths: list[int], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(4, 60, (n,), generator=generator) for n in lengths]


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Batch]:
    """Returns a function that creates a batch of random sequences; the same ones padded and packed."""

    def make(
        lengths: list[int], *, packed: bool = False, seed: int = 0, global_size: int | None = None, pad: int = PAD
    ) -> Batch:
        rows, count = _rows(lengths, seed), len(lengths)
        places = [torch.arange(n) for n in lengths]
        segments = [(torch.arange(n) > n // 2).long() for n in lengths]

        def join(parts: list[Tensor], fill: int) -> Tensor:
            if not parts:
                return torch.zeros((1, 0) if packed else (0, 0), dtype=torch.long)
            if packed:
                return torch.cat(parts)[None]
            return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=fill)

        return Batch(
            token_ids=join(rows, pad),
            positions=join(places, 0),
            segment_ids=join(segments, 0),
            lengths=torch.tensor(lengths, dtype=torch.long),
            labels=torch.arange(count) % 2,
            example_ids=torch.arange(count),
            global_size=count if global_size is None else global_size,
            packed=packed,
        )

    return make
