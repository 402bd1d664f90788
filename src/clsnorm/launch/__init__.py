"""Processes: one worker for each device, started by torchrun on a run folder."""
