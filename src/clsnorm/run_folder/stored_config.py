"""``config.yaml`` of a run: may be edited by hand, and is replaced if it was cut."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clsnorm.errors import DamagedFileError, InputError
from clsnorm.files import write_text

HASH = "config_hash"
PARTS = ("choices", "classifier", "data", "model", "normalizer", "seeds")  # without these no model can be built
CURE = "Restore it from a copy: the same command with another hydra.run.dir writes the same file"


def read_config(path: Path) -> dict[str, Any]:
    """Returns the configuration; an empty dict if the file does not exist.

    Raises:
        DamagedFileError: If the file is not YAML, or no mapping.
    """
    if not path.exists():
        return {}
    from omegaconf import OmegaConf  # slow to import and to parse: most readers need only results.json
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        _refuse_aliases(path)
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DamagedFileError.of(path, f"it is not YAML of a configuration ({reason})", CURE) from None
    if not isinstance(content, dict) or not content:
        raise DamagedFileError.of(path, "it holds no mapping" if content else "it is empty", CURE)
    return content  # type: ignore[return-value]


def _refuse_aliases(path: Path) -> None:
    """Raises ValueError for a YAML alias: no run writes any, and nested ones can expand without bounds."""
    import yaml

    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(path.read_text(encoding="utf-8"))):
        raise ValueError("it has an alias")


def require_parts(config: Mapping[str, Any], path: Path) -> None:
    """Raises DamagedFileError if a part of a run is missing from the configuration read from ``path``."""
    wrong = [part for part in PARTS if not isinstance(config.get(part), Mapping)]
    wrong += [] if "choices" in wrong or _names_choices(config) else ["choices.data or choices.model"]
    if wrong:
        raise DamagedFileError.of(path, f"it lacks {', '.join(wrong)}", CURE)


def write_config(path: Path, config: Mapping[str, Any]) -> None:
    """Writes a resolved configuration."""
    write_text(path, _as_text(config))


def sha256(config: Mapping[str, Any]) -> str:
    """Returns the sha256 of the file that `write_config` writes."""
    return hashlib.sha256(_as_text(config).encode()).hexdigest()


def _as_text(config: Mapping[str, Any]) -> str:
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(dict(config)))


def repair(path: Path, config: Mapping[str, Any]) -> None:
    """Writes the configuration again if the file of this very configuration was cut; an edited one stays."""
    try:
        stored = read_config(path)
        whole = {HASH, *PARTS} & set(config) <= set(stored) and _names_choices(stored)
    except DamagedFileError:
        whole = False
    if not whole:
        write_config(path, config)


def _names_choices(config: Mapping[str, Any]) -> bool:
    """Is the last part of the file there, which any cut would shorten?"""
    choices = config.get("choices", {"data": "", "model": ""})
    return isinstance(choices, Mapping) and {"data", "model"} <= set(choices)


def require_same(path: Path, config: Mapping[str, Any], proofs_of: Callable[[], list[str | None]]) -> None:
    """Checks that a run's folder belongs to ``config``, by its ``config.yaml`` or, if that was cut, by its other files.

    Args:
        path: The file; if it does not exist, the folder is new.
        config: The requested configuration.
        proofs_of: Called if the file was cut. Returns the hash that each other file proves, or None if it proves none;
            an empty list if there is nothing to lose.

    Raises:
        InputError: If the folder holds another configuration, or nothing says which.
    """
    if not path.exists():
        return
    wanted = config[HASH]
    found = _hash_in(path)
    others = [] if found is not None else proofs_of()
    proofs = [proof for proof in (found, *others) if proof is not None]
    if wanted in proofs or (found is None and not others):
        return
    if proofs:
        raise InputError(
            f"Expected {path.parent} to hold configuration {wanted}, but it holds {proofs[0]}. "
            "Choose another hydra.run.dir, or leave it out: names derived from the configuration never clash"
        )
    raise DamagedFileError.of(
        path,
        f"no {HASH} can be read, and no other file says which configuration was trained",
        f"If it was this one, replace the file by the line `{HASH}: {wanted}`; else choose another hydra.run.dir",
    )


def _hash_in(path: Path) -> str | None:
    try:
        return read_config(path).get(HASH)
    except DamagedFileError:
        return None
