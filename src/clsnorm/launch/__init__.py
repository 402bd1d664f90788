"""Processes: one worker a device, started by torchrun on a run folder."""
