"""``python -m clsnorm``: the same as ``clsnorm``."""

import sys

from clsnorm.command.cli import main

if __name__ == "__main__":
    sys.exit(main())
