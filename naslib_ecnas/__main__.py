"""`python -m naslib_ecnas` is `ecnas`."""

from __future__ import annotations

import sys

from naslib_ecnas.cli import main

if __name__ == "__main__":
    sys.exit(main())
