"""Which environment variables a configuration may read: none that could hold a secret."""

from __future__ import annotations

import os
from typing import Any

from omegaconf import OmegaConf

from clsnorm.errors import InputError

# Folders and job numbers. Whatever a configuration reads is stored in config.yaml and sent to loggers.
READABLE = (
    "CLSNORM_DATA",
    "CLSNORM_CACHE",
    "HOME",
    "USER",
    "TMPDIR",
    "HF_HOME",
    "SLURM_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_TMPDIR",
)
_UNSET: Any = object()


def environment(name: str, default: Any = _UNSET) -> Any:
    """Resolver ``${oc.env:NAME,default}``, in place of OmegaConf's: reads only `READABLE` variables.

    Raises:
        InputError: If the variable is another one, or is not set and has no default.
    """
    if name not in READABLE:
        raise InputError(
            f"Expected ${{oc.env:...}} to read one of {', '.join(READABLE)}, but got {name!r}. Its value would be "
            "stored in config.yaml; if it is not a secret, type it"
        )
    if name in os.environ:
        return os.environ[name]
    if default is _UNSET:
        raise InputError(f"Expected the environment variable {name} to be set, as ${{oc.env:{name}}} needs it")
    return None if default is None else str(default)


def register() -> None:
    """Replaces OmegaConf's resolver ``oc.env`` in this process; may be called again."""
    OmegaConf.register_new_resolver("oc.env", environment, replace=True)
