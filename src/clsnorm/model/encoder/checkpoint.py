"""From a checkpoint to a model: architecture, dropout, weights and pooler."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from clsnorm.errors import InputError, require_probability
from clsnorm.model.encoder.families import Family, known_families
from clsnorm.model.encoder.weights import custom_code, fetch, locate, weight_names

log = logging.getLogger(__name__)
ALIGNMENT = 64  # bytes; of memory that torch allocates


class Pooler(nn.Module):
    """BERT's pooler, ``tanh(W h + b)`` of the last hidden state at [CLS], with the values before and after the tanh."""

    def __init__(self, dense: nn.Linear, activation: nn.Module) -> None:
        super().__init__()
        self.dense = dense
        self.activation = activation


def load_architecture(path: str, location: str) -> Any:
    """Returns the model's architecture, transformers' config.

    Raises:
        InputError: If it cannot be loaded, or if transformers has no code for it.
    """
    from transformers import AutoConfig, PreTrainedConfig

    def load(local: bool) -> Any:
        _require_known_type(path, PreTrainedConfig.get_config_dict(location, local_files_only=local)[0])
        return AutoConfig.from_pretrained(location, local_files_only=local, trust_remote_code=False)

    return fetch(path, location, "config.json", load)


def _require_known_type(path: str, content: dict[str, Any]) -> None:
    """Raises InputError if a ``config.json`` names a type of model that transformers has no code for, or code alone."""
    from transformers import CONFIG_MAPPING, __version__

    kind, own_code = content.get("model_type"), "auto_map" in content
    if kind in CONFIG_MAPPING or (kind is None and not own_code):
        return
    named = f"the model_type {kind!r}, which transformers {__version__} does not know" if kind else "no model_type"
    code = ", and names code that comes with it (auto_map)" if own_code else ""
    raise custom_code(path, f"its config.json has {named}{code}")


def set_dropout(architecture: Any, family: Family, dropout: float | None) -> None:
    """Sets hidden and attention dropout in ``architecture``; raises `InputError` if the family's names are unknown."""
    require_probability(
        "model.dropout", dropout, or_null=True, advice="Set model.dropout=null for the checkpoint's own"
    )
    if dropout is None:
        return
    if not family.dropout:
        raise InputError(
            f"Expected argument `model.dropout` to be null for the family {architecture.model_type!r}, whose options "
            f"of dropout are unknown here, but got {dropout}. Known are {known_families()}; set model.dropout=null"
        )
    for field in family.dropout:
        setattr(architecture, field, dropout)


def load_model(path: str, location: str, architecture: Any, tap: str, attention: str, seed_init: int) -> Any:
    """Loads float32 weights, with a pooler only if ``tap`` needs it; missing weights are drawn from ``seed_init``."""
    from transformers import AutoModel

    options: dict[str, Any] = {}
    if _takes_pooler(architecture):
        options["add_pooling_layer"] = tap != "hidden"
    elif tap != "hidden":
        raise InputError(
            f"Expected argument `model.tap` to be 'hidden' for the family {architecture.model_type!r}, which has no "
            f"pooler, but got {tap!r}. Set model.tap=hidden"
        )

    model, missing = load_weights(
        AutoModel, path, location, architecture, attention=attention, seed=seed_init, **options
    )
    _check_missing(path, architecture, missing)
    return model


def load_weights(
    auto_class: Any, path: str, location: str, architecture: Any, *, attention: str, seed: int, **options: Any
) -> tuple[Any, list[str]]:
    """Loads a model in float32 by one of transformers' ``AutoModel...`` classes.

    Args:
        auto_class: The class.
        path: As the user gave it, for messages.
        location: As `clsnorm.model.encoder.weights.locate` returned it.
        architecture: What `load_architecture` returned.
        attention: transformers' implementation.
        seed: Of weights that the checkpoint lacks. The global random state is unchanged.
        options: Further arguments of the model's class.

    Returns:
        The model, and the names of the weights that the checkpoint lacks.

    Raises:
        InputError: If the model cannot be loaded.
    """

    def load(local: bool) -> Any:
        torch.manual_seed(seed)
        return auto_class.from_pretrained(
            location,
            config=architecture,
            dtype=torch.float32,
            attn_implementation=attention,
            output_loading_info=True,
            local_files_only=local,
            trust_remote_code=False,
            **options,
        )

    with quiet(), torch.random.fork_rng(devices=[]):  # weights are created on the CPU
        model, info = fetch(path, location, "model", load)
    align(model)
    return model, sorted(info["missing_keys"])


def align(model: nn.Module) -> None:
    """Moves parameters and buffers to addresses that are multiples of `ALIGNMENT`, as those of torch's own tensors are.

    Files hold weights at other addresses, and matrix products of one row may round by the address: a model that was
    read would differ in its last bits from a copy of it.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.data_ptr() % ALIGNMENT:
            tensor.data = tensor.data.clone()


def has_pooler(path: str) -> bool:
    """Returns whether a model has a pooler and its checkpoint has the weights for it.

    Args:
        path: As in `clsnorm.model.encoder.weights.locate`.

    Raises:
        InputError: If the model cannot be loaded.
    """
    location = locate(path)
    return _takes_pooler(load_architecture(path, location)) and any("pooler." in name for name in weight_names(path))


def _takes_pooler(architecture: Any) -> bool:
    """Returns whether the family's model class has an option for its pooler."""
    from transformers import AutoModel

    model_class = AutoModel._model_mapping.get(type(architecture), None)
    return model_class is not None and "add_pooling_layer" in inspect.signature(model_class.__init__).parameters


def _check_missing(path: str, architecture: Any, missing: list[str]) -> None:
    lost = [name for name in missing if not name.startswith("pooler.")]
    if lost:
        raise InputError(
            f"Expected argument `model.path` to hold all weights of a {architecture.model_type}, but {path!r} lacks "
            f"{len(lost)} of them, such as {lost[0]}. Was it saved from another model?"
        )
    if missing:
        log.warning("%s has no weights for the pooler: they start at random, from seeds.init", path)


def detach_pooler(model: Any) -> Pooler:
    """Removes the pooler from ``model`` and returns it, so that both sides of its tanh can be read and it runs once."""
    pooler = model.pooler
    dense = getattr(pooler, "dense", pooler)  # in ALBERT the pooler is the linear layer, without the activation
    activation = getattr(pooler, "activation", None) or getattr(model, "pooler_activation", None) or nn.Tanh()
    model.pooler = None
    return Pooler(dense, activation)


def digest_of(encoder: nn.Module, tap: str) -> str:
    """Returns a digest of the tap and of the names, shapes and values of the weights."""
    digest = hashlib.sha256(tap.encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Switches off transformers' progress bars and its report on missing weights in a ``with`` block."""
    from transformers.utils import logging as hf_logging

    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
