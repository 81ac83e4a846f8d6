"""What holds before the heavy imports: a signal during them stops the process without a traceback.

Importing torch and the SDK takes seconds, in which an operator or a service manager may change their mind.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType


def stop_cleanly_while_importing() -> None:
    """Until the miner installs its own handlers, SIGTERM and SIGINT end the process with exit code 0."""
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _stop)


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.stderr.write("stopped before the miner was ready\n")
    sys.exit(0)
