"""Loading a finished run, for example in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsnorm.errors import DamagedFileError, InputError, require_whole
from clsnorm.experiment.assembly import build_classifier
from clsnorm.experiment.prediction import Prediction, Predictor, Texts
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.results import LOADED
from clsnorm.tensor_files import load_tensors

if TYPE_CHECKING:
    from clsnorm.model import Classifier


LOST = "The weights are lost: restore the file from a copy, or run the configuration again with force=true"
SEEDS = ("init", "order", "dropout", "subset", "noise")
MOST_OUTPUTS = 1_000_000  # classes; a head for more would fill the memory


@dataclass(frozen=True)
class LoadedRun:
    """What `load_run` returns.

    Attributes:
        config: The resolved configuration, as plain dicts.
        results: ``results.json``.
        classifier: Encoder, normalizer and head with the selected weights, in eval mode.
        tokenizer: The encoder's tokenizer.
    """

    config: dict[str, Any]
    results: dict[str, Any]
    classifier: Classifier
    tokenizer: Any

    def __repr__(self) -> str:
        named = ", ".join(f"{name}={self.config['choices'].get(name)}" for name in ("data", "model", "normalizer"))
        return f"LoadedRun({named}, seed={self.config.get('seed')})"

    @property
    def predictor(self) -> Predictor:
        """Predicts as the run's evaluation did."""
        return Predictor(self.classifier, self.tokenizer, self.config, self.results)

    def predict(self, texts: Texts, *, batch_size: int | None = None) -> Prediction:
        """Returns the answers to texts, or to pairs of texts: see `Predictor.predict`.

        Example::

            answers = run.predict(["a gripping film", "two hours of nothing"])
            answers.labels, answers.probabilities
        """
        return self.predictor.predict(texts, batch_size=batch_size)


def read_run(folder: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the resolved configuration and the results of a finished run.

    Raises:
        InputError: If ``folder`` holds no finished run, or a damaged file.
    """
    run = RunFolder(Path(folder))
    results = run.require_results(LOADED)
    config = run.require_config()
    _rename_options(config)
    for name in SEEDS:
        require_whole(f"seeds.{name}", config["seeds"].get(name), least=0, most=2**32 - 1, advice=f"See {run.config}")
    for group in ("data", "model"):
        if not isinstance(config["choices"].get(group), str):
            raise DamagedFileError.of(run.config, f"it does not name the choice of {group}")
    require_whole("num_outputs", results["num_outputs"], least=1, most=MOST_OUTPUTS, advice=f"See {run.results}")
    return config, results


def _rename_options(config: dict[str, Any]) -> None:
    """Gives the options of a run of before their names of today."""
    if (matched := config["classifier"].pop("rate_matched", None)) is not None:
        config["classifier"].setdefault("match_step", "total" if matched is True else "none")
        config["classifier"].setdefault("match_noise", False)


def load_run(folder: str | Path, *, step: int | None = None) -> LoadedRun:
    """Returns the model and the configuration of a finished run.

    The checkpoint is read with ``weights_only=True``; the configuration's targets are checked by role. The encoder's
    architecture is read from the run's ``model.path``, its weights from the run.

    Args:
        folder: The run's.
        step: Load the weights of the validation after so many optimizer steps, which ``keep_weights=all`` stores; None:
            the selected ones.

    Raises:
        InputError: If ``folder`` holds no finished run, or no weights of ``step``.

    Example::

        run = clsnorm.load_run("runs/rotten_tomatoes-minilm-layernorm-s0-1f6c0a77")
        run.results["metrics"], run.predict(["a gripping film"]).labels
    """
    config, results = read_run(folder)
    run = RunFolder(Path(folder))
    run.warn_of_changes(results)
    path = run.selected if step is None else _of_step(run, step)
    classifier, tokenizer = build_classifier(config, num_outputs=results["num_outputs"])
    _load_weights(classifier, path)
    return LoadedRun(config, results, classifier.eval(), tokenizer)


def _of_step(run: RunFolder, step: int) -> Path:
    stored = run.validated_weights()
    if step not in stored:
        known = ", ".join(map(str, stored)) or "none; train with keep_weights=all"
        raise InputError(f"Expected step to be one whose weights {run.path} holds ({known}), but got {step!r}")
    return stored[step]


def _load_weights(classifier: Classifier, path: Path) -> None:
    state, prefix = load_tensors(path, LOST, mmap=True), "classifier."
    try:
        weights = {k.removeprefix(prefix): v for k, v in state["state_dict"].items() if k.startswith(prefix)}
        classifier.load_state_dict(weights)
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DamagedFileError.of(path, f"it does not fit the model of config.yaml ({reason})", LOST) from None
