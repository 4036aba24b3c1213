"""Lets the tests of the loop on repositories import what they plant and script."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
