"""Trains a masked language model and stores it where ``model=...`` finds it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import transformers

from clsnorm.cache import Cache
from clsnorm.callbacks import Progress
from clsnorm.config.model_folder import MODELS
from clsnorm.data.tokens.loader import BatchLoader, TokenDataset
from clsnorm.data.tokens.sampling import GlobalBatches
from clsnorm.data.tokens.tokenization import Tokens
from clsnorm.errors import InputError
from clsnorm.files import delete
from clsnorm.freed_memory import keep_freed_memory
from clsnorm.model import load_tokenizer
from clsnorm.model.encoder.checkpoint import quiet
from clsnorm.pretraining.corpus import SimilarLengths, read_corpus
from clsnorm.pretraining.masked_language_model import MaskedLanguageModel
from clsnorm.pretraining.recipe import Recipe

log = logging.getLogger(__name__)


def continue_pretraining(
    name: str,
    recipe: Recipe,
    *,
    model: str,
    sha256: str | None = None,
    sets: Sequence[str] = (),
    paths: Mapping[str, str],
    force: bool = False,
) -> tuple[Path, dict[str, Any]]:
    """Continues masked-language-model training of ``model`` and stores the result in the cache.

    The same arguments give the same weights on the same machine. Nothing is left behind if it is interrupted.

    Args:
        name: The model's folder in ``paths["cache"]/models``.
        recipe: How it is trained.
        model: As ``model.path``.
        sha256: Expected digest of its weights; None: not checked.
        sets: Data sets whose training texts are used; none: all whose rows can be read.
        paths: ``data`` and ``cache``.
        force: Replace a model of this name that was trained in another way.

    Returns:
        The folder, and the record: recipe, model, rows of each set, loss and accuracy on held-out texts before and
        after, seconds.

    Raises:
        InputError: If an argument is refused, if a model of this name exists and differs, or on an interruption.
    """
    cache = Cache(Path(paths["cache"]) / MODELS)
    asked = {"recipe": asdict(recipe), "model": model, "sets": sorted(sets)}
    if (found := cache.get(name)) is not None and not force:
        if found[1]["asked"] != asked:
            raise InputError(
                f"A model {name!r} exists in {found[0]}, but it was trained in another way. Give another --name, or "
                "--force to replace it"
            )
        return found
    keep_freed_memory()
    tokenizer = load_tokenizer(model, sha256)
    corpus = read_corpus(sets, recipe, tokenizer=tokenizer, paths=paths)
    module = MaskedLanguageModel(model, tokenizer, recipe, sha256=sha256)
    held_out = _loader(corpus.held_out, tokenizer, GlobalBatches(len(corpus.held_out), batch_size=64))
    before, start = module.measure(held_out), time.monotonic()
    _train(module, corpus.train, tokenizer, recipe)
    record = {
        "asked": asked,
        "rows": corpus.rows,
        "left_out": corpus.left_out,
        "held_out": {"rows": len(corpus.held_out), "before": before, "after": module.measure(held_out)},
        "seconds": round(time.monotonic() - start, 1),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    if force and found is not None:
        delete(found[0])
    with cache.draft(name) as (folder, stored), quiet():
        module.model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        stored |= record
    return cache.folder / name, record


def _train(module: MaskedLanguageModel, tokens: Tokens, tokenizer: Any, recipe: Recipe) -> None:
    pl.seed_everything(recipe.seed, verbose=False)
    lengths = np.diff(tokens.offsets)
    loader = _loader(tokens, tokenizer, SimilarLengths(lengths, batch_size=recipe.batch_size, seed=recipe.seed))
    trainer = pl.Trainer(
        max_steps=recipe.steps,
        gradient_clip_val=1.0,
        accelerator="auto",
        devices=1,
        callbacks=[Progress(refresh_rate=1)],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    try:
        trainer.fit(module.train(), loader)
    except SystemExit:  # what Lightning turns Ctrl-C and SIGTERM into, the latter with status 0
        raise InputError(
            f"Interrupted after {trainer.global_step} of {recipe.steps} steps; nothing is stored. The same command "
            "starts over"
        ) from None
    module.to("cpu")


def _loader(tokens: Tokens, tokenizer: Any, batches: GlobalBatches) -> BatchLoader:
    return BatchLoader(TokenDataset(tokens, packed=False, padding=tokenizer.pad_token_id or 0), batches, num_workers=0)
