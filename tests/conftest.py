"""Settings of the whole test suite."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# A yosys on PATH may be too old for Amaranth: use the one that came with it.
os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
sys.path.insert(0, str(Path(__file__).parent))
