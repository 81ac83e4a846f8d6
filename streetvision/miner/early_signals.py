"""What holds before the heavy imports: signals, and every check that needs none of them.

Importing torch and the SDK takes seconds, in which an operator or a service manager may change their mind, and after
which nobody wants to hear that a file is missing.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import TYPE_CHECKING

from streetvision.base.line_writer import say_at_once

if TYPE_CHECKING:
    from streetvision.settings.settings import Settings


def stop_cleanly_while_importing() -> None:
    """Until the miner installs its own handlers, SIGTERM and SIGINT end the process with exit code 0."""
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _stop)


def _stop(_number: int, _frame: FrameType | None) -> None:
    say_at_once(2, "stopped before the miner was ready\n")
    os._exit(0)  # SystemExit could be swallowed by whatever is being imported


def check_files(settings: Settings) -> None:
    """Refuse a start that cannot succeed, as far as files tell: OperatorError with one sentence.

    The miner checks all of it again, and more, in its own order.
    """
    from streetvision.base.state_folder import require_folder, require_no_miner
    from streetvision.chain.hotkey_file import check_name, require_hotkey
    from streetvision.miner.model_choice import check_model

    require_folder(settings.state_dir)
    require_no_miner(settings.state_dir)
    check_model(settings)
    if settings.is_mock:  # it has a key of its own
        return
    wallet, hotkey = settings.wallet_name or "default", settings.wallet_hotkey or "default"
    check_name("wallet", wallet, "--wallet.name")
    check_name("hotkey", hotkey, "--wallet.hotkey")
    require_hotkey(wallet, hotkey, str(settings.wallet_path))
