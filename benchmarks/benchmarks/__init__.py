"""Suites for airspeed velocity (asv), over the functions of ``run.py``."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
