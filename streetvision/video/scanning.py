"""One video through the model: a thread decodes, chooses and scales; the caller's answers batches and keeps them.

At most `AHEAD` batches wait in between, so that memory does not grow with the length of the file. The state of the
chooser goes into the record with each batch: a scan that goes on chooses the same frames as one that never stopped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from queue import Empty, Full, Queue
from typing import Any

import numpy as np

from streetvision.engine.ensemble import Sight
from streetvision.engine.types import ImageArray, Runner
from streetvision.engine.views import Eye
from streetvision.video.choosing import SAMPLING, FrameChooser, Sampling
from streetvision.video.clock import Position
from streetvision.video.reading import Damage, VideoError, VideoReader
from streetvision.video.record import Record, Sample
from streetvision.video.scaling import FrameScaler
from streetvision.video.smoothing import SMOOTHING, Smoothing, find_segments, smooth

AHEAD = 3
"""Batches."""
BATCH = 32
"""Frames that are kept together; the runner takes them in parts where its largest batch is smaller."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scan is."""

    time: float
    """Seconds of the video that are done."""
    answered: int
    """Frames that the model answered, of earlier sittings too."""


@dataclass(slots=True)
class Work:
    """Seconds that each part took, side by side."""

    decoding: float = 0.0
    choosing: float = 0.0
    """Looking for changes, and scaling to the model's input."""
    model: float = 0.0


@dataclass(frozen=True, slots=True)
class _Batch:
    times: list[float]
    choices: list[str]
    images: list[ImageArray]
    state: dict[str, Any]
    """After its last frame."""


@dataclass(slots=True)
class Counts:
    """Frames of a video, of earlier sittings too."""

    decoded: int = 0
    same: int = 0
    """Passed over because they showed what the last one had shown."""


@dataclass(slots=True)
class _Pump:
    """What the decoding thread does."""

    reader: VideoReader
    scaler: FrameScaler
    eye: Eye
    chooser: FrameChooser
    counts: Counts
    earlier: Damage
    work: Work
    out: Queue[_Batch | BaseException | None]
    stop: threading.Event
    _batch: list[tuple[float, str, ImageArray]] = field(default_factory=list)

    def run(self, after: Position | None) -> None:
        try:
            for decoded in self._timed(self.reader.frames(after)):
                self._see(decoded.time, decoded.frame)
                if self.stop.is_set():
                    return
            self._send()
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the scan waits
            self._put(error)

    def _timed(self, frames: Iterator[Any]) -> Iterator[Any]:
        while True:
            started = time.perf_counter()
            frame = next(frames, None)
            self.work.decoding += time.perf_counter() - started
            if frame is None:
                return
            yield frame

    def _see(self, at: float, frame: Any) -> None:  # noqa: ANN401 - PyAV's frame
        self.counts.decoded += 1
        if not self.chooser.wants(at):
            return
        started = time.perf_counter()
        choice = self.chooser.choose(at, self.scaler.luma(frame))
        if choice == "same":
            self.counts.same += 1
        elif choice:
            self._batch.append((at, choice, self.scaler.model_input(frame, self.eye)))
        self.work.choosing += time.perf_counter() - started
        if len(self._batch) >= BATCH:
            self._send()

    def _send(self) -> None:
        times, choices, images = ([row[place] for row in self._batch] for place in range(3))
        self._batch = []
        self._put(_Batch(times, choices, images, self._state()))  # type: ignore[arg-type]

    def _state(self) -> dict[str, Any]:
        damage, position = self.reader.damage, self.reader.clock.position
        return {
            "position": asdict(position),
            "chooser": self.chooser.state(),
            "counts": asdict(self.counts),
            "damage": asdict(_joined(self.earlier, damage)),
        }

    def _put(self, item: _Batch | BaseException | None) -> None:
        while not self.stop.is_set():
            with suppress(Full):
                self.out.put(item, timeout=0.2)
                return


def scan(
    reader: VideoReader,
    runner: Runner,
    record: Record,
    *,
    sampling: Sampling = SAMPLING,
    smoothing: Smoothing = SMOOTHING,
    progress: Callable[[Progress], None] = lambda _: None,
    work: Work | None = None,
) -> None:
    """Answer the frames that the record lacks and keep segments in it. `runner` is warm; `record` has begun.

    Raises VideoError for a video without frames. May be interrupted anywhere, and called again.
    """
    work = work or Work()
    state = record.fact("state") or {}
    if not record.fact("complete"):
        with _pumping(reader, runner, sampling, state, work) as batches:
            for batch in batches:
                record.add(_answer(runner, batch, work), batch.state)
                progress(Progress(batch.state["position"]["time"], record.count()))
        if not record.count():
            raise VideoError(f"{reader.name} holds no frame that can be decoded: {_why(reader)}.")
        record.set_facts(complete=True, video=asdict(reader.facts))
    judge(record, smoothing)


def judge(record: Record, smoothing: Smoothing) -> None:
    """Find the segments anew from the answers that are kept."""
    times, logits = record.series()
    segments = find_segments(times, logits, smooth(times, logits, smoothing), smoothing)
    record.set_facts(segments=[asdict(one) for one in segments], smoothing=asdict(smoothing))


def damage_of(record: Record) -> Damage:
    """What could not be read, over all sittings."""
    return Damage(**(record.fact("state") or {}).get("damage", {}))


@contextmanager
def _pumping(
    reader: VideoReader, runner: Runner, sampling: Sampling, state: Mapping[str, Any], work: Work
) -> Iterator[Iterator[_Batch]]:
    out: Queue[_Batch | BaseException | None] = Queue(AHEAD)
    pump = _Pump(
        reader,
        FrameScaler(reader.aspect),
        Sight(runner).eyes[0],
        FrameChooser.from_state(sampling, state.get("chooser")),
        Counts(**state.get("counts", {})),
        Damage(**state.get("damage", {})),
        work,
        out,
        threading.Event(),
    )
    after = Position(**state["position"]) if state else None
    thread = threading.Thread(target=pump.run, args=[after], name="video-decode", daemon=True)
    thread.start()
    try:
        yield _received(out)
    finally:
        pump.stop.set()
        _drain(out)
        thread.join()


def _drain(out: Queue[Any]) -> None:
    """Empty a queue, so that whoever waits to put something in goes on."""
    while True:
        try:
            out.get_nowait()
        except Empty:
            return


def _received(out: Queue[_Batch | BaseException | None]) -> Iterator[_Batch]:
    while (item := out.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


def _answer(runner: Runner, batch: _Batch, work: Work) -> list[Sample]:
    if not batch.images:
        return []
    started = time.perf_counter()
    size = runner.buckets[-1]
    parts = (batch.images[at : at + size] for at in range(0, len(batch.images), size))
    logits = np.concatenate([runner.run(np.stack(part)).logits for part in parts])
    work.model += time.perf_counter() - started
    return [Sample(*row) for row in zip(batch.times, map(float, logits), batch.choices, strict=True)]


def _why(reader: VideoReader) -> str:
    return "; ".join(reader.damage.sentences()) or "it is empty"


def _joined(earlier: Damage, now: Damage) -> Damage:
    first = earlier.first if earlier.first is not None else now.first
    return Damage(earlier.packets + now.packets, first, now.end)
