"""A model's tokenizer, and whether the model has an embedding for each of its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clsnorm.errors import InputError, is_whole
from clsnorm.model.encoder.checkpoint import load_architecture
from clsnorm.model.encoder.suitability import require_encoder
from clsnorm.model.encoder.weights import fetch, locate


def load_tokenizer(path: str, sha256: str | None = None) -> Any:
    """Returns the tokenizer that was saved with the model; needs no weights.

    Args:
        path: As in `clsnorm.model.encoder.weights.locate`.
        sha256: As in `clsnorm.model.encoder.weights.locate`.

    Raises:
        InputError: If it cannot be loaded (the message says what was tried), if the model is not an encoder, or if the
            tokenizer has tokens for which the model has no embedding.
    """
    from transformers import AutoTokenizer

    location = locate(path, sha256)
    architecture = load_architecture(path, location)
    require_encoder(path, architecture)

    def load(local: bool) -> Any:
        tokenizer = AutoTokenizer.from_pretrained(location, local_files_only=local, trust_remote_code=False)
        # Without these files transformers 5 silently creates, for some families, a tokenizer with no vocabulary.
        files = {"tokenizer.json", *type(tokenizer).vocab_files_names.values()}
        if not any(_has_file(location, file) for file in files):
            raise FileNotFoundError(f"none of {sorted(files)} exists")
        return tokenizer

    tokenizer = fetch(path, location, "tokenizer", load)
    require_embeddings_of(tokenizer, path, architecture)
    return tokenizer


def require_embeddings_of(tokenizer: Any, path: str, architecture: Any) -> None:
    """Raises InputError if the tokenizer gives ids of tokens or of segments that the model has no embedding for.

    Args:
        tokenizer: Its tokens may be fewer than the model's, not more.
        path: As the user gave it, for messages.
        architecture: transformers' config of the model.
    """
    known = getattr(architecture, "vocab_size", None)
    beyond = {} if not is_whole(known) else {t: i for t, i in tokenizer.get_vocab().items() if i >= known}
    if beyond:
        token = max(beyond, key=beyond.__getitem__)
        count = f"{len(beyond)} token{'s' if len(beyond) > 1 else ''}"
        raise InputError(
            f"Expected the tokenizer of `model.path` to fit the {known} token embeddings of {path!r}, but it has "
            f"{count} beyond them, such as {token!r} with id {beyond[token]}. Enlarge the model with "
            "resize_token_embeddings(len(tokenizer)) and save it, or remove the tokens that were added"
        )
    segments = getattr(architecture, "type_vocab_size", None) or 0
    if segments > 1 and "token_type_ids" in tokenizer.model_input_names:
        largest = max(tokenizer("a", "b")["token_type_ids"])
        if largest >= segments:
            raise InputError(
                f"Expected the tokenizer of `model.path` to fit the {segments} segment embeddings of {path!r}, but a "
                f"pair has a segment of id {largest}. Use the tokenizer that the model was trained with"
            )


def _has_file(location: str, name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    folder = Path(location)
    return (folder / name).is_file() if folder.is_dir() else isinstance(try_to_load_from_cache(location, name), str)
