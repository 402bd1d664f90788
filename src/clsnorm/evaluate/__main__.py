"""``python -m clsnorm.evaluate``."""

import sys

from clsnorm.command.status import run_command
from clsnorm.evaluate.evaluate_command import main

if __name__ == "__main__":
    sys.exit(run_command(main))
