"""Lets the fault tests import the victim they kill."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
