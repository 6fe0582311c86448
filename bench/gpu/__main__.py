"""Run all of it, or with --step one step."""

import sys

from .run import main

if __name__ == "__main__":
    sys.exit(main())
