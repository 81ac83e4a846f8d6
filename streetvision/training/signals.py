"""Signals stay the command's own: Lightning ends a process that gets SIGTERM with exit code 0 and saves nothing."""

from __future__ import annotations

import signal
import threading

import lightning as L


class OwnSignals(L.Callback):
    """Gives SIGTERM back, once Lightning has taken it, to the handler that was there when this was made."""

    def __init__(self) -> None:
        self._before = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning takes signals just before."""
        self._give_back()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Judging by itself takes them, too; within training the operator may have changed the handler since."""
        if trainer.state.fn == "validate":
            self._give_back()

    def _give_back(self) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)
