"""``python -m clsnorm.probes data=trec``: simple classifiers on frozen [CLS], for each normalizer.

python -m clsnorm.probes data=trec normalizers=[identity,zca_whitening] leak=true
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from clsnorm.command.sweep import REFUSALS, reporting
from clsnorm.config import CONF, check_groups, prepare
from clsnorm.config.choices import description, find_option
from clsnorm.errors import refuse

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="probe")
def main(config: DictConfig) -> None:
    """Probes one configuration in its folder, unless that is done."""
    from hydra.core.hydra_config import HydraConfig

    from clsnorm.run_folder import RunFolder

    output = Path(HydraConfig.get().runtime.output_dir)
    with reporting(output / "probes.json"):
        try:
            plain = resolve(config)
            check_groups(plain, ("data", "model"))
        except REFUSALS:
            RunFolder(output).discard_if_empty()
            raise
        _probe(plain, output)
    print(f"written to {output}/probes.html")


def _probe(config: dict[str, Any], output: Path) -> None:
    from clsnorm.probes.probing import ProbeFolder, execute
    from clsnorm.run_folder import provenance
    from clsnorm.run_folder.claim import Claim

    study = ProbeFolder(output)
    with Claim(study).hold(config) as finished:
        if finished is None:
            execute(config, output)
        else:
            study.require_results(("commit", "places"))
            log.info("done before%s: %s; force=true probes again", provenance.differing(finished["commit"]), output)


def resolve(config: DictConfig) -> dict[str, Any]:
    """Returns ``config`` as `prepare` does, with ``note``: how the model's file describes it.

    Raises:
        InputError: If a value is refused.
    """
    plain = prepare(config, "probe")
    places = plain["places"]
    if not isinstance(places, list) or not places or not all(isinstance(place, str) for place in places):
        refuse("places", "a list of places", places, "Write places=[last]")
    plain["choices"] = {key: plain["choices"][key] for key in ("data", "model")}
    path = find_option("model", plain["choices"]["model"])
    return plain | {"note": description(path) if path else ""}
