"""Settings of the whole test suite."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import settings

# A yosys on PATH may be too old for Amaranth: use the one that came with it.
os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
sys.path.insert(0, str(Path(__file__).parent))

# The same examples every time, as long as it takes; BLONDEL_SEED asks for others.
settings.register_profile("blondel", derandomize="BLONDEL_SEED" not in os.environ, deadline=None, print_blob=True)
settings.load_profile("blondel")
