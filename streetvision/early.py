"""What holds before the heavy imports: a signal during them stops the process without a traceback.

Importing torch and the SDK takes seconds, in which an operator or a service manager may change their mind.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

from streetvision.line_writer import say_at_once


def stop_cleanly_while_importing() -> None:
    """Until the miner installs its own handlers, SIGTERM and SIGINT end the process with exit code 0."""
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _stop)


def _stop(_number: int, _frame: FrameType | None) -> None:
    say_at_once(2, "stopped before the miner was ready\n")
    os._exit(0)  # SystemExit could be swallowed by whatever is being imported
