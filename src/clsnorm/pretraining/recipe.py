"""`Recipe`: everything that decides the weights of a continued pretraining, apart from model and texts."""

from __future__ import annotations

from dataclasses import dataclass

from clsnorm.errors import require_between, require_fraction, require_positive, require_whole


@dataclass(frozen=True)
class Recipe:
    """How masked-language-model training is continued: BERT's masking and AdamW, shorter and on short texts.

    Attributes:
        steps: Optimizer steps.
        batch_size: Texts of a step.
        max_length: Tokens of a text, special tokens included.
        rows_per_set: Most training texts that a data set contributes, drawn by ``seed``.
        masked: Share of the tokens to predict.
        lr: Peak learning rate of AdamW (betas 0.9 and 0.999, eps 1e-8, gradients clipped at norm 1).
        weight_decay: Decoupled weight decay of matrices.
        warmup_ratio: Share of the steps over which the learning rate rises; it then falls linearly to 0.
        seed: Of the head's first weights, texts, order, masks and dropout.
        max_unknown: A data set with a larger share of tokens that the tokenizer does not know is left out.

    Raises:
        InputError: If a value is out of range.
    """

    steps: int = 3000
    batch_size: int = 32
    max_length: int = 64
    rows_per_set: int = 10_000
    masked: float = 0.15
    lr: float = 2e-4
    weight_decay: float = 0.01
    warmup_ratio: float = 0.06
    seed: int = 0
    max_unknown: float = 0.01

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "rows_per_set"):
            require_whole(f"--{name}", getattr(self, name), least=1)
        require_whole("--max_length", self.max_length, least=4)
        require_whole("--seed", self.seed, least=0)
        require_fraction("--masked", self.masked, meaning="a share", advice="BERT's is 0.15")
        require_positive("--lr", self.lr, advice="The default is 2e-4")
        require_between("--weight_decay", self.weight_decay, 0, 1, advice="The default is 0.01")
        require_between("--warmup_ratio", self.warmup_ratio, 0, 1, advice="The default is 0.06")
        require_between("--max_unknown", self.max_unknown, 0, 1, advice="The default is 0.01")
