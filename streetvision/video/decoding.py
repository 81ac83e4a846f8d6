"""The thread that decodes, chooses and scales a video's frames, a few batches ahead of whoever answers them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Any, Self

from streetvision.engine.types import ImageArray
from streetvision.engine.views import Eye
from streetvision.video.choosing import Choice, FrameChooser, Sampling
from streetvision.video.clock import Position
from streetvision.video.reading import Damage, Decoded, VideoReader
from streetvision.video.scaling import FrameScaler

AHEAD = 3
"""Batches that wait, so that memory does not grow with the length of a file."""
BATCH = 32
"""Frames that are kept together."""
_POLL_S = 0.2


@dataclass(slots=True)
class Work:
    """Seconds that each part took, side by side."""

    decoding: float = 0.0
    choosing: float = 0.0
    """Looking for changes, and scaling to the model's input."""
    model: float = 0.0


@dataclass(slots=True)
class Counts:
    """Frames of a video, of earlier sittings too."""

    decoded: int = 0
    same: int = 0
    """Passed over because they showed what the last one had shown."""


@dataclass(frozen=True, slots=True)
class ChosenFrame:
    """A frame to be answered."""

    time: float
    choice: Choice
    image: ImageArray
    """As the model takes it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of them in order, and the state to go on from after the last; the final batch may hold none."""

    frames: list[ChosenFrame]
    state: dict[str, Any]


class DecodingThread:
    """Entered, it decodes; left, it ends. One thread takes its batches."""

    def __init__(
        self, reader: VideoReader, eye: Eye, sampling: Sampling, state: Mapping[str, Any], *, work: Work
    ) -> None:
        """`state` is that of the last batch that was kept; empty for a video that nobody began."""
        self._reader, self._eye, self._work = reader, eye, work
        self._scaler, self._per_second = FrameScaler(reader.aspect), sampling.per_second
        self._chooser = FrameChooser.from_state(sampling, state.get("chooser"))
        self._counts = Counts(**state.get("counts", {}))
        self._earlier = Damage(**state.get("damage", {}))
        self._after = Position(**state["position"]) if state else None
        self._chosen: list[ChosenFrame] = []
        self._out: Queue[Batch | BaseException | None] = Queue(AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="video-decode", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with suppress(Empty):
            while True:  # whoever waits to put something in goes on
                self._out.get_nowait()
        self._thread.join()

    def batches(self) -> Iterator[Batch]:
        """All of them, in order; raises what the thread met."""
        while (item := self._out.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        try:
            for decoded in self._timed(self._reader.frames(self._after, self._per_second)):
                self._see(decoded)
                if self._stop.is_set():
                    return
            self._send()
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the batches are taken
            self._put(error)

    def _timed(self, frames: Iterator[Decoded]) -> Iterator[Decoded]:
        while True:
            started = time.perf_counter()
            decoded = next(frames, None)
            self._work.decoding += time.perf_counter() - started
            if decoded is None:
                return
            yield decoded

    def _see(self, decoded: Decoded) -> None:
        self._counts.decoded += 1
        if not self._chooser.wants(decoded.time):
            return
        started = time.perf_counter()
        choice = self._chooser.choose(decoded.time, self._scaler.luma(decoded.frame))
        if choice == "same":
            self._counts.same += 1
        elif choice:
            image = self._scaler.model_input(decoded.frame, self._eye)
            self._chosen.append(ChosenFrame(decoded.time, choice, image))
        self._work.choosing += time.perf_counter() - started
        if len(self._chosen) >= BATCH:
            self._send()

    def _send(self) -> None:
        frames, self._chosen = self._chosen, []
        self._put(Batch(frames, self._state()))

    def _state(self) -> dict[str, Any]:
        return {
            "position": asdict(self._reader.clock.position),
            "chooser": self._chooser.state(),
            "counts": asdict(self._counts),
            "damage": asdict(self._earlier.followed_by(self._reader.damage)),
        }

    def _put(self, item: Batch | BaseException | None) -> None:
        while not self._stop.is_set():
            with suppress(Full):
                self._out.put(item, timeout=_POLL_S)
                return
