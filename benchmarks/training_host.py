"""Where the host's time goes in a step of our training: the main thread's place, looked at many times a second."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from types import FrameType

from harness import Row

EVERY_S = 0.002
PLACES = {
    ("background.py", ""): "waiting for pictures",
    ("augmenting.py", ""): "augmenting",
    ("graphs.py", "replay_forward"): "replaying the forward",
    ("graphs.py", "replay_backward"): "replaying the backward",
    ("module.py", "loss_of"): "the rest of the loss",
    ("module.py", "configure_gradient_clipping"): "clipping",
    ("module.py", "on_after_batch_transfer"): "the rest of the transfer",
    ("optimisers.py", ""): "the optimiser",
    ("adamw.py", ""): "the optimiser",
    ("watching.py", ""): "looking at losses",
    ("averaging.py", ""): "the average of the weights",
}
"""By file and function, innermost first; an empty function means all of the file."""


class HostSampler:
    """Looks where the thread that made it stands, from `start` to `stop`."""

    def __init__(self) -> None:
        self._watched, self._ended = threading.get_ident(), threading.Event()
        self._places: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, step_s: float) -> list[Row]:
        """Shares of the time by place, and the milliseconds of a step that they are."""
        self._ended.set()
        self._thread.join()
        total = self._places.total() or 1
        return [
            {"the host is at": place, "share": count / total, "ms a step": 1e3 * step_s * count / total}
            for place, count in self._places.most_common()
        ]

    def _run(self) -> None:
        while not self._ended.wait(EVERY_S):
            self._places[place_of(sys._current_frames().get(self._watched))] += 1


def place_of(frame: FrameType | None) -> str:
    """The innermost known place of a stack; else the file that it stands in."""
    innermost = "" if frame is None else frame.f_code.co_filename.rpartition("/")[2]
    while frame is not None:
        file, function = frame.f_code.co_filename.rpartition("/")[2], frame.f_code.co_name
        known = PLACES.get((file, function)) or PLACES.get((file, ""))
        if known:
            return known
        frame = frame.f_back
    return f"elsewhere: {innermost}"
