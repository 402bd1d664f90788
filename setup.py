"""Puts `conf` into the wheel as ``clsnorm/conf``; everything else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConf(build_py):
    """An editable install reads `conf` where it is, at the top of the checkout."""

    def run(self) -> None:
        """Builds the package and copies the configuration into it."""
        super().run()
        if not self.editable_mode:
            shutil.copytree("conf", Path(self.build_lib) / "clsnorm" / "conf", dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConf})
