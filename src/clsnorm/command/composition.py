"""How commands compose configurations: checked before Hydra acts on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra._internal import hydra as hydra_internals
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from clsnorm.config import choices, environment, names
from clsnorm.config.hydra_node import check_hydra, check_search_path
from clsnorm.config.roles import locate
from clsnorm.config.rules import require_no_secrets
from clsnorm.config.yaml_aliases import require_bounded
from clsnorm.errors import InputError


class CheckedLoader(ConfigLoaderImpl):
    """Hydra's loader, for configurations that may come from someone else.

    Every configuration passes through it, also that of each job of a sweep, in whichever process the job runs.
    """

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        _check_places(config_search_path)
        super().__init__(config_search_path)

    def load_configuration(
        self, config_name: str | None, overrides: list[str], *arguments: Any, **named: Any
    ) -> DictConfig:
        """Composes and checks a configuration.

        Raises:
            InputError: If it cannot be composed, or its ``hydra`` node is refused.
        """
        register_resolvers()
        _refuse_secrets(overrides)
        try:
            config = super().load_configuration(config_name, overrides, *arguments, **named)
        except (InputError, HydraException, OmegaConfBaseException, OSError):
            raise
        except Exception as error:  # Hydra asserts, and looks up attributes and keys in the content of files
            raise _translated(error, overrides) from error
        check_hydra(config, config_name)
        return config

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Composes a job of a sweep, in the sweep's folder, which a job's own overrides would name differently."""
        config = super().load_sweep_config(master_config, sweep_overrides)
        config.hydra.sweep.dir = str(master_config.hydra.sweep.dir)
        return config

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Any], CachingConfigRepository]:
        parsed = OverridesParser.create().parse_overrides(overrides=overrides)
        repository = FolderRepository(self.repository)
        self._process_config_searchpath(config_name, parsed, repository)
        return parsed, repository


def _refuse_secrets(overrides: list[str]) -> None:
    """Refuses secrets on the command line before Hydra logs the arguments of a sweep's jobs."""
    for word in overrides:
        key, _, value = word.lstrip("+~").partition("=")
        if value:
            require_no_secrets(value, key)


def _translated(error: Exception, overrides: list[str]) -> InputError:
    if groups := [word for word in overrides if word.endswith("=null") and "." not in word]:
        return InputError(
            f"Expected {' '.join(groups)} to name an option instead of null. Leave it out for the default; "
            "--help lists the others, with `none` where a group may be empty"
        )
    return InputError(f"Cannot compose the configuration: {type(error).__name__}: {error}")


class FolderRepository(CachingConfigRepository):
    """The configuration files on a search path; refuses ``pkg://`` paths before Hydra imports the package."""

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Checks each place of the search path and opens it.

        Raises:
            InputError: If a place is not a folder.
        """
        _check_places(config_search_path)
        super().initialize_sources(config_search_path)

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Reads a file of a place of the search path.

        Raises:
            InputError: If its aliases expand without bounds.
        """
        for source in self.get_sources():
            path = Path(source.path, config_path.removesuffix(".yaml") + ".yaml")
            if path.is_file():
                require_bounded(path)
        return super().load_config(config_path)


def _check_places(search_path: ConfigSearchPath) -> None:
    check_search_path([element.path or "" for element in search_path.get_path()])


def register_resolvers() -> None:
    """Registers all resolvers of configurations; may be called again."""
    names.register()
    choices.register()
    environment.register()


@contextlib.contextmanager
def checked_composition() -> Iterator[None]:
    """Makes Hydra compose with `CheckedLoader`, and build this package's launchers and sweepers.

    Hydra has no hook between composing a configuration and building what it names; and its plugins must be in packages
    named ``hydra_plugins``, all of which it imports at each start.
    """
    original, build = hydra_internals.ConfigLoaderImpl, Plugins._instantiate

    def build_own(plugins: Plugins, config: DictConfig) -> Any:
        node: Any = OmegaConf.to_container(config, resolve=True)
        target = str(node.pop("_target_", None))  # admitted by `check_hydra`
        return locate(target, "hydra")(**node) if target.startswith("clsnorm.") else build(plugins, config)

    hydra_internals.ConfigLoaderImpl, Plugins._instantiate = CheckedLoader, build_own
    try:
        yield
    finally:
        hydra_internals.ConfigLoaderImpl, Plugins._instantiate = original, build
