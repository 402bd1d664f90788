"""The commands that faults are injected into, and their inputs: a tiny model and 48 short texts."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

WORDS = (["bad", "dull", "sad", "poor", "weak"], ["good", "fine", "glad", "rich", "strong"])
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
ROWS = {"train": 24, "select": 12, "report": 12}
FILES = ["data=files", *(f"data.{split}=inputs/{split}.tsv" for split in ROWS), "data.text=[text]", "data.label=label"]
MODEL = ["model=any", "model.path=inputs/model", "data.max_length=16", "data.eval_batch_size=8"]
TRAIN = ["train.py", *FILES, *MODEL, "data.batch_size=8", "optimizer.lr=1e-2", "trainer.accelerator=cpu",
         "trainer.log_every_n_steps=1"]  # fmt: skip
ANALYZE = ["-m", "clsnorm.analyze", *FILES, *MODEL, "accelerator=cpu"]


@dataclass(frozen=True)
class Command:
    """A command, the one that must have run before it, and where it writes.

    Args:
        words: As `faults.forks.run` takes them.
        outputs: Folder of its results, below the working directory.
        before: A command to run first, without faults.
    """

    words: list[str]
    outputs: str
    before: list[str] = field(default_factory=list)

    def with_overrides(self, overrides: list[str]) -> Command:
        """Returns the command, and the one before it, with more overrides."""
        before = [*self.before, *overrides] if self.before else []
        return Command([*self.words, *overrides], self.outputs, before)


RUN = [*TRAIN, "normalizer=standardize", "callbacks=[default,gradient_norms]", "trainer.max_epochs=2",
       "checkpoint_every=2"]  # fmt: skip
SHORT = [*TRAIN, "callbacks=cls_statistics", "trainer.max_epochs=1"]
SEVERAL = [*SHORT, "normalizer=batchnorm", "checkpoint_every=1"]
COMMANDS = {
    "run": Command(RUN, "runs"),
    "analysis": Command(ANALYZE, "analysis"),
    "sweep": Command([SHORT[0], "-m", *SHORT[1:], "normalizer=identity,standardize"], "multirun"),
    "force": Command([*SHORT, "force=true"], "runs", before=SHORT),
    "joint": Command([*ANALYZE[:2], "-m", *ANALYZE[2:], "data.max_train_examples=12,20"], "analysis"),
    "ddp": Command([*SEVERAL, "trainer=ddp_cpu"], "runs"),
    "fsdp": Command([*SEVERAL, "trainer=fsdp", "trainer.devices=2"], "runs"),
    "fsdp of four": Command([*SEVERAL, "trainer=fsdp", "trainer.devices=4"], "runs"),
    "ddp analysis": Command([*ANALYZE, "devices=2"], "analysis"),
}


def write_inputs(folder: Path) -> None:
    """Writes a random two-layer BERT with a vocabulary of a few words, and a TSV file for each split."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS[0], *WORDS[1]])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = [(mark, vocabulary[mark]) for mark in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder / "model")
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=32, initializer_range=0.2, **shape)
    BertModel(config).save_pretrained(folder / "model")
    draw = random.Random(0)
    for split, rows in ROWS.items():
        lines = [f"{' '.join(draw.choices(WORDS[row % 2], k=draw.randint(2, 6)))}\t{row % 2}" for row in range(rows)]
        (folder / f"{split}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
