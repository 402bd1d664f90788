"""``python -m clsnorm.sweep status|plan|retry|clean``: a sweep, seen from its run folders alone."""

import sys

from clsnorm.sweep.sweep_command import main

if __name__ == "__main__":
    sys.exit(main())
