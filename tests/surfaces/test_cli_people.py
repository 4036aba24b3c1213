"""What people decide on the command line, and what it refuses to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Surefoot, a_request_for_approval, an_agent, better, done, traffic
