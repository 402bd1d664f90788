"""The programs that `speed.py` compares: ours, and what a user would take instead. One process each.

A class prepares in its constructor, and ``work`` returns one measurement. Peers get the same token ids, weights, batch
size, recipe and number of threads. They are used as their documentation shows, and never tuned down.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from composed import composed, resolved
from turns import Turn

WARM_UP = 2  # steps of each training that are not counted
PADDING = 128  # run_glue.py's max_seq_length, to which it pads by default


class Clock:
    """Wall and processor time between `start` and `stop`."""

    def start(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, examples: int) -> Turn:
        seconds, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return Turn(examples, seconds, cpu, peak)


class Work(ABC):
    """A program to measure.

    Args:
        overrides: Of ``train.py``: data, model, sizes.
        steps: Of a training, after `WARM_UP`.
    """

    def __init__(self, overrides: list[str], steps: int) -> None:
        words = ["model.tap=pooler", "callbacks=none", "logger=none", "checkpoint_every=1000000000"]
        words += [f"trainer.max_steps={steps + WARM_UP}", "trainer.max_epochs=-1", "trainer.log_every_n_steps=10"]
        self._folder = tempfile.TemporaryDirectory()  # removed at exit
        self.folder = Path(self._folder.name)
        self.words = [*words, f"paths.output={self.folder}", *overrides]
        self.config = resolved(self.words)
        self.steps, self.batch_size = steps, self.config["data"]["batch_size"]

    @abstractmethod
    def work(self) -> Turn:
        """Works once and returns the measurement."""

    def build(self) -> Any:
        """Returns the parts of a run, prepared."""
        from clsnorm.experiment.assembly import build
        from clsnorm.run_folder import RunFolder

        torch.manual_seed(0)
        return build(self.config, RunFolder(Path(tempfile.mkdtemp(dir=self.folder))))


class StepClock(pl.Callback):
    """Times the steps of a fit after the first `WARM_UP`."""

    def __init__(self, steps: int, batch_size: int) -> None:
        self._clock, self._steps, self._batch_size = Clock(), steps, batch_size

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, number: int) -> None:
        if trainer.global_step == WARM_UP:
            self._clock.start()

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        if trainer.global_step == WARM_UP + self._steps:
            self.turn = self._clock.stop(self._steps * self._batch_size)


class Ours(Work):
    """A fit of clsnorm, as in ``train.py``; the steps alone, without validation."""

    def work(self) -> Turn:
        from clsnorm.experiment.arithmetic import unfilled_memory
        from clsnorm.freed_memory import keep_freed_memory

        keep_freed_memory()
        parts, clock = self.build(), StepClock(self.steps, self.batch_size)
        parts.trainer.callbacks.append(clock)  # type: ignore[attr-defined]
        with unfilled_memory():
            parts.trainer.fit(parts.module, datamodule=parts.data)
        return clock.turn


class Peer(Work):
    """A peer that trains Hugging Face's classifier on the same tokens."""

    def __init__(self, overrides: list[str], steps: int) -> None:
        super().__init__(overrides, steps)
        parts = self.build()
        parts.data.prepare()
        tokens = parts.data.tokens_of("train")
        self.rows = [
            {
                "input_ids": tokens.token_ids[start:end].tolist(),
                "attention_mask": [1] * int(end - start),
                "token_type_ids": tokens.segment_ids[start:end].tolist(),
                "labels": int(label),
            }
            for start, end, label in zip(tokens.offsets, tokens.offsets[1:], tokens.labels, strict=False)
        ]
        self.tokenizer, self.parts = parts.data.tokenizer, parts

    def model(self) -> Any:
        """Returns the classifier with the same initial weights."""
        from hf_trainer import same_model

        return same_model(self.parts.module.classifier, dropout=self.config["model"]["dropout"]).train()

    def collate(self, padding: str) -> Callable[[list[dict[str, Any]]], Any]:
        from transformers import DataCollatorWithPadding

        length = {"max_length": PADDING} if padding == "max_length" else {}
        return DataCollatorWithPadding(self.tokenizer, padding=padding, **length)


class TrainerDynamic(Peer):
    """Hugging Face's Trainer with ``DataCollatorWithPadding``."""

    sampling, padding = "random", "longest"

    def work(self) -> Turn:
        from transformers import Trainer, TrainerCallback, TrainingArguments

        clock, steps, examples = Clock(), self.steps, self.steps * self.batch_size
        found: list[Turn] = []

        class Watch(TrainerCallback):
            def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if state.global_step == WARM_UP:
                    clock.start()

            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if state.global_step == WARM_UP + steps:
                    found.append(clock.stop(examples))

        optimizer = self.config["optimizer"]
        arguments = TrainingArguments(
            output_dir=str(self.folder / "trainer"),
            per_device_train_batch_size=self.batch_size,
            max_steps=WARM_UP + steps,
            learning_rate=optimizer["lr"],
            weight_decay=optimizer["weight_decay"],
            adam_epsilon=optimizer["eps"],
            max_grad_norm=self.config["trainer"]["gradient_clip_val"],
            warmup_steps=0.1,
            train_sampling_strategy=self.sampling,
            logging_steps=10,
            save_strategy="no",
            report_to=[],
            use_cpu=not torch.cuda.is_available(),
            disable_tqdm=True,
        )
        collate = self.collate(self.padding)
        trainer = Trainer(self.model(), arguments, train_dataset=self.rows, data_collator=collate, callbacks=[Watch()])
        with silence():
            trainer.train()
        return found[0]


class TrainerDefault(TrainerDynamic):
    """The same, padded to 128 tokens, as run_glue.py does by default."""

    padding = "max_length"


class TrainerGrouped(TrainerDynamic):
    """The same, padded dynamically, with batches of texts of similar length, which are not drawn at random."""

    sampling = "group_by_length"


class PlainLoop(Peer):
    """A loop in plain PyTorch with dynamic padding, AdamW and clipping."""

    def work(self) -> Turn:
        from torch.utils.data import DataLoader

        model, clock, collate = self.model(), Clock(), self.collate("longest")
        decay, rate = self.config["optimizer"]["weight_decay"], self.config["optimizer"]["lr"]
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
        loader = DataLoader(self.rows, batch_size=self.batch_size, shuffle=True, collate_fn=collate, drop_last=True)  # type: ignore[arg-type]
        batches = _endless(loader)
        for step in range(WARM_UP + self.steps):
            if step == WARM_UP:
                clock.start()
            model(**next(batches)).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), self.config["trainer"]["gradient_clip_val"])
            optimizer.step()
            optimizer.zero_grad()
        return clock.stop(self.steps * self.batch_size)


class OurAnalysis(Work):
    """The pass of ``clsnorm analyze`` over the training split: moments of [CLS] at every layer."""

    def __init__(self, overrides: list[str], steps: int) -> None:
        from clsnorm.freed_memory import keep_freed_memory

        super().__init__(overrides, steps)
        keep_freed_memory()  # as the command does
        self.parts = self.build()
        self.parts.data.prepare()

    def work(self) -> Turn:
        from clsnorm.analyze.collect import collect

        clock = Clock()
        clock.start()
        classifier, data = self.parts.module.classifier, self.parts.data
        collect(classifier, data, device=torch.device("cpu"), draft=self.folder / "draft")
        return clock.stop(data.train_size)


class Encode(Work):
    """``SentenceTransformer.encode`` of the same texts: [CLS] of the last layer alone."""

    def __init__(self, overrides: list[str], steps: int) -> None:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.models import Pooling, Transformer

        super().__init__(overrides, steps)
        parts, folder = self.build(), str(self.folder / "model")
        parts.data.prepare()
        encoder, tokenizer = parts.module.classifier.encoder.model, parts.data.tokenizer
        encoder.config._attn_implementation = "sdpa"
        encoder.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        part = Transformer(folder, max_seq_length=self.config["data"]["max_length"])
        self.model = SentenceTransformer(modules=[part, Pooling(encoder.config.hidden_size, pooling_mode="cls")])
        tokens = parts.data.tokens_of("train")
        rows = [tokens.token_ids[a:b] for a, b in zip(tokens.offsets, tokens.offsets[1:], strict=False)]
        self.texts = tokenizer.batch_decode(rows, skip_special_tokens=True)

    def work(self) -> Turn:
        clock = Clock()
        clock.start()
        self.model.encode(self.texts, batch_size=self.config["data"]["eval_batch_size"], show_progress_bar=False)
        return clock.stop(len(self.texts))


class Predicting(Work):
    """A finished run of one step, and the texts of its report split."""

    def __init__(self, overrides: list[str], steps: int) -> None:
        from clsnorm.experiment.job import run

        super().__init__([*overrides, "trainer.max_steps=1", "keep_weights=selected"], steps)
        with silence():
            run(composed(self.words))
        (self.run,) = (path.parent for path in self.folder.rglob("results.json"))
        parts = self.build()
        parts.data.prepare()
        (self.texts,) = parts.data.texts_of("report")


class OurPredictions(Predicting):
    """``load_run(folder).predict(texts)``."""

    def work(self) -> Turn:
        from clsnorm import load_run

        loaded, clock = load_run(self.run), Clock()
        clock.start()
        loaded.predict(self.texts, batch_size=self.batch_size)
        return clock.stop(len(self.texts))


class Pipeline(Predicting):
    """``pipeline("text-classification")`` of the exported run, with the same batch size."""

    def __init__(self, overrides: list[str], steps: int) -> None:
        from transformers import pipeline

        from clsnorm.export.export_command import export

        super().__init__(overrides, steps)
        exported = self.folder / "exported"
        with silence():
            export({"run": str(self.run), "output": str(exported)})
        self.classify = pipeline("text-classification", model=str(exported), batch_size=self.batch_size)

    def work(self) -> Turn:
        clock = Clock()
        clock.start()
        self.classify(self.texts, truncation=True, max_length=self.config["data"]["max_length"])
        return clock.stop(len(self.texts))


class MatrixProducts(Work):
    """The matrix products of the encoder's training steps alone, forward and backward, on the tokens of each batch.

    The last layer is computed at [CLS] only. Attention counts with the padded lengths that it needs. Its rate bounds
    what any implementation of these steps in torch can reach.
    """

    def work(self) -> Turn:
        parts = self.build()
        parts.data.prepare()
        encoder = parts.module.classifier.encoder.model.config
        width, wide, layers = encoder.hidden_size, encoder.intermediate_size, encoder.num_hidden_layers
        heads = encoder.num_attention_heads
        batches = iter(parts.data.train_dataloader())
        lengths = [next(batches).lengths for _ in range(self.steps)]
        clock = Clock()
        clock.start()
        for each in lengths:
            whole, count = int(each.sum()), len(each)
            for layer in range(layers):
                rows = whole if layer < layers - 1 else count
                for columns, out in ((width, 3 * width), (width, width), (width, wide), (wide, width)):
                    _linear(rows, columns, out)
                if layer < layers - 1:
                    _attention(count, heads, int(each.max()), width // heads)
        return clock.stop(self.steps * self.batch_size)


def _linear(rows: int, columns: int, out: int) -> None:
    """Does the three products of a linear layer's step: output, gradient of the input, gradient of the weight."""
    x, weight, grad = torch.empty(rows, columns), torch.empty(out, columns), torch.empty(rows, out)
    for left, right in ((x, weight.T), (grad, weight), (grad.T, x)):
        left @ right


def _attention(count: int, heads: int, length: int, size: int) -> None:
    """Does the six products of attention's step."""
    rows, square = torch.empty(count * heads, length, size), torch.empty(count * heads, length, length)
    for left, right in ((rows, rows.mT), (square, rows), (square, rows), (square, rows), (square, rows)):
        torch.bmm(left, right)
    torch.bmm(rows, rows.mT)


def _endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


@contextmanager
def silence() -> Iterator[None]:
    """Sends what libraries print to standard error: standard output is for measurements."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


ARMS: dict[str, type[Work]] = {
    "clsnorm": Ours,
    "Trainer, dynamic padding": TrainerDynamic,
    "Trainer, padding to 128": TrainerDefault,
    "Trainer, grouped by length": TrainerGrouped,
    "PyTorch, dynamic padding": PlainLoop,
    "matrix products alone": MatrixProducts,
    "clsnorm analyze": OurAnalysis,
    "sentence-transformers encode": Encode,
    "clsnorm predict": OurPredictions,
    "transformers pipeline": Pipeline,
}


def main() -> None:
    """Prints one line when ready, and one for each line that it reads."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    name, options = sys.argv[1], json.loads(sys.argv[2])
    with silence():
        work = ARMS[name](**options)
    print("{}", flush=True)
    for _ in sys.stdin:
        with silence():
            turn = work.work()
        print(json.dumps(turn.__dict__), flush=True)


if __name__ == "__main__":
    main()
