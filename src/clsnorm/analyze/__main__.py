"""``python -m clsnorm.analyze``."""

import sys

from clsnorm.analyze.entry import main
from clsnorm.command.status import run_command

if __name__ == "__main__":
    sys.exit(run_command(main))
