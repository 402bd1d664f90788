"""Lightning's own callbacks: which of them a run may have; imports no torch.

A callback is refused if a run with it would not resume exactly, or if it would change the weights, the batches or the
end of training without a trace in the run's records. Subclasses are refused, too.
"""

PLACE = "pytorch_lightning.callbacks"
_BOUNDS = "Set trainer.max_steps"
_WEIGHTS = "The weights that are validated would not be those that are trained and stored"
_FUNCTION = "It takes functions, which a configuration cannot express. Write a callback of your own"
REFUSED: dict[str, str] = {  # by class name: the reason and the way out
    "BackboneFinetuning": "It expects a model with a `backbone`. Set optimizer=adamw_layerwise to train layers slower",
    "BatchSizeFinder": "Results would depend on the memory of the machine. Set data.batch_size",
    "DeviceStatsMonitor": "It needs psutil on a CPU. results.json has peak_memory_mb, and logger=wandb logs devices",
    "EarlyStopping": "A resumed run could end otherwise. Choose callbacks=[default,early_stopping]",
    "GradientAccumulationScheduler": "The number of steps would not be known. Set trainer.accumulate_grad_batches",
    "LambdaCallback": _FUNCTION,
    "LearningRateFinder": "It trains before the run. Set optimizer.lr, or sweep over it",
    "ModelPruning": _WEIGHTS,
    "SpikeDetection": "Choose callbacks=[default,gradient_norms] and abort_on=[explosion]",
    "StochasticWeightAveraging": _WEIGHTS,
    "ThroughputMonitor": f"{_FUNCTION}. results.json has examples_per_second",
    "Timer": f"Results would depend on the speed of the machine. {_BOUNDS}",
    "WeightAveraging": _WEIGHTS,  # and EMAWeightAveraging, its subclass
}
ADMITTED = (
    "BaseFinetuning",
    "BasePredictionWriter",
    "Callback",
    "Checkpoint",
    "LearningRateMonitor",
    "ModelCheckpoint",
    "ModelSummary",
    "OnExceptionCheckpoint",
    "ProgressBar",
    "RichModelSummary",
    "RichProgressBar",
    "TQDMProgressBar",
)
