"""``python -m mmif_amin``: the same as the command ``mmif-amin``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
