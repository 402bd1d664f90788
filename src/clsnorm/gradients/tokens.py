"""Gradients inside the encoder: at [CLS] and at the other tokens of each layer, and below its last norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from clsnorm.batches import Batch
from clsnorm.distributed import all_reduce_sum
from clsnorm.model import Embeddings, Encoder

SUMS = ("cls", "examples", "others", "tokens")  # squares of gradients and their counts


class TokenGradients:
    """Hooks on an encoder that take gradients at the inputs of its layers and of its last norm.

    A layer's input is the output of the layer before it, so ``layer00`` is the embedding layer. The last layer is read
    at [CLS] only: gradients at its other tokens are zero. Nothing is taken if the layers are not known, or do not take
    hidden states of the shape of the tokens.

    Args:
        encoder: The encoder.
        take: Called in the backward pass with the gradients ``(B, d)`` at [CLS] below the last norm.
    """

    def __init__(self, encoder: Encoder, take: Callable[[Tensor], None]) -> None:
        self._take = take
        self._depth = encoder.depth
        self._batch: Batch | None = None
        self._inputs: list[Tensor] = []
        self._below: Tensor | None = None
        self._restart()
        self._handles: list[RemovableHandle] = [
            layer.register_forward_pre_hook(self._see_layer, with_kwargs=True) for layer in encoder.layers()
        ]
        if (norm := encoder.output_norm()) is not None:
            self._handles.append(norm.register_forward_pre_hook(self._see_norm))
        self._handles.append(encoder.register_forward_hook(self._connect))

    def _restart(self) -> None:
        self._sums = torch.zeros(self._depth + 1, len(SUMS), dtype=torch.float64)

    def remove(self) -> None:
        """Removes the hooks."""
        for handle in self._handles:
            handle.remove()

    def start(self, batch: Batch, factor: Callable[[], Any], *, layers: bool) -> None:
        """Starts a batch of a training step.

        Args:
            batch: This process's part.
            factor: Returns, in the backward pass, the factor from its gradients to those of an example's own loss.
            layers: Whether to measure the layers' tokens, too.
        """
        self._batch, self._factor, self._layers = batch, factor, layers

    def end(self) -> None:
        """Ends a batch: the encoder's next calls are not measured."""
        self._batch = None

    def take_sums(self) -> Tensor:
        """Returns the sums since the last call over all processes, flat, for `numbers`. Collective."""
        sums = all_reduce_sum(self._sums).flatten()
        self._restart()
        return sums

    def numbers(self, sums: Tensor) -> dict[str, float]:
        """Returns the logged numbers of the value of `take_sums`, on the host.

        ``grad/layer00/cls``, ...: root mean square of the norm of an example's gradient at [CLS];
        ``grad/layer00/cls_to_others``, ...: this over the root mean square norm of its gradient at one other token.
        """
        found: dict[str, float] = {}
        for number, (cls, examples, others, tokens) in enumerate(sums.view(-1, len(SUMS)).tolist()):
            if examples:
                at_cls = found[f"grad/layer{number:02d}/cls"] = math.sqrt(cls / examples)
                if tokens and number < self._depth:
                    at_other = math.sqrt(others / tokens)
                    found[f"grad/layer{number:02d}/cls_to_others"] = at_cls / at_other if at_other else math.inf
        return found

    def _is_measured(self, module: nn.Module) -> bool:
        """Returns whether this is the forward pass of a training step, with examples on this process."""
        return module.training and self._batch is not None and len(self._batch) > 0

    def _see_layer(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._is_measured(module) and self._layers:
            self._inputs.append(args[0] if args else kwargs["hidden_states"])

    def _see_norm(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if self._is_measured(module):
            self._below = args[0]  # of a layer that is called several times, the last input stays

    def _connect(self, module: nn.Module, args: Any, embeddings: Embeddings) -> None:
        """Registers the hooks of the backward pass, at the end of the encoder's forward pass."""
        inputs, self._inputs = self._inputs, []
        below, self._below = self._below, None
        batch = self._batch
        if not self._is_measured(module) or batch is None:
            return
        if below is not None and below.requires_grad and (rows := cls_rows(batch, below)) is not None:
            below.register_hook(lambda gradient: self._take(rows(gradient) * self._factor()))
        if not self._layers:
            return
        if len(inputs) == self._depth and all(states.shape[:2] == batch.token_ids.shape for states in inputs):
            for number, states in enumerate(inputs):
                self._measure(number, states, batch)
        if embeddings.hidden is not None:
            self._measure(self._depth, embeddings.hidden, batch)

    def _measure(self, number: int, states: Tensor, batch: Batch) -> None:
        if states.requires_grad:
            states.register_hook(lambda gradient: self._add(number, gradient, batch))

    def _add(self, number: int, gradient: Tensor, batch: Batch) -> None:
        squares = (gradient.float() * self._factor()).double().square().sum(-1)
        cls, examples, tokens = squares, len(batch), 0
        if gradient.ndim == 3 and (rows := cls_rows(batch, gradient)) is not None:
            cls, tokens = rows(squares[..., None])[:, 0], int(batch.lengths.sum()) - examples
        total = cls.sum()
        counts = squares.new_tensor([examples, tokens])
        self._sums = self._sums.to(squares.device)
        self._sums[number] += torch.stack([total, counts[0], squares.sum() - total, counts[1]])


def cls_rows(batch: Batch, states: Tensor) -> Callable[[Tensor], Tensor] | None:
    """Returns the function from states of this shape to their rows at [CLS], ``(B, d)``; None if it is not known.

    Args:
        batch: The batch that the states are of.
        states: ``(B, T, d)``, ``(1, N, d)`` packed, or at [CLS] alone ``(B, d)``, ``(B, 1, d)`` or ``(1, B, d)``.
    """
    if states.ndim == 2 and len(states) == len(batch):
        return lambda rows: rows
    if states.ndim == 3 and states.shape[:2] != batch.token_ids.shape and states[..., 0].numel() == len(batch):
        return lambda rows: rows.flatten(0, 1)
    if states.ndim != 3 or states.shape[:2] != batch.token_ids.shape:
        return None
    if not batch.packed:
        return lambda rows: rows[:, 0]
    starts = batch.starts.to(states.device)
    return lambda rows: rows[0].index_select(0, starts)
