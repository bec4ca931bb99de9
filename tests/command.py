"""The ``blondel`` command as a process of its own."""

from __future__ import annotations

import sys

#: Where the tests run in the background SIGINT is ignored, and so it would be in what they start.
COMMAND = [
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from blondel.host.cli import main; sys.exit(main())",
]
