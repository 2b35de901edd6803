"""Ratios take a minute and a quiet machine: run where they are asked for."""

from __future__ import annotations

import os

collect_ignore_glob = [] if "ECNAS_TEST_LONG" in os.environ else ["test_*.py"]
