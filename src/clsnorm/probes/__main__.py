"""``python -m clsnorm.probes``."""

import sys

from clsnorm.command.status import run_command
from clsnorm.probes.probe_command import main

if __name__ == "__main__":
    sys.exit(run_command(main))
