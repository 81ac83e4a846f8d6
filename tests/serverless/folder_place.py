"""A place to train that is a folder and a thread of this process: what goes there and comes back is real."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streetvision.serverless.away import ENDED, PICTURES, RUNS, Event
from streetvision.serverless.learning import learn_there
from streetvision.training.run_folder import RunFolder

Work = Callable[..., dict[str, Any]]


@dataclass
class ThreadJob:
    """Learns in a thread; `silent` leaves the last event out, as a container that is killed does."""

    run: RunFolder
    volume: Path
    seconds: float
    silent: bool = False
    wish: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._told: queue.Queue[Event] = queue.Queue()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def events(self) -> Iterator[Event]:
        while True:
            try:
                event = self._told.get(timeout=0.05)
            except queue.Empty:
                if not self._thread.is_alive() and self._told.empty():
                    return
                yield {}
                continue
            if not (self.silent and event.get("event") == ENDED):
                yield event

    def stop(self) -> None:
        self.wish.set()

    def _work(self) -> None:
        ended = learn_there(self.run, self.volume, self._told.put, self.wish.is_set, self.seconds, accelerator="cpu")
        self._told.put(ended)


@dataclass
class FolderPlace:
    """A Place of away.py."""

    volume: Path
    silent: bool = False
    seconds: float | None = None
    """In place of those that are asked for."""
    sent: list[str] = field(default_factory=list)

    def __enter__(self) -> FolderPlace:
        return self

    def __exit__(self, *ending: object) -> None:
        """Nothing to let go of."""

    def pictures(self) -> set[str]:
        folder = self.volume / PICTURES
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    def put(self, files: Mapping[str, Path | bytes]) -> None:
        for place, content in files.items():
            self.sent.append(place)
            target = self.volume / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.read_bytes())

    def fetch(self, place: str, file: Path) -> bool:
        if not (self.volume / place).is_file():
            return False
        shutil.copyfile(self.volume / place, file)
        return True

    def begin(self, run: str, seconds: float) -> ThreadJob:
        paid = seconds if self.seconds is None else self.seconds
        return ThreadJob(RunFolder(self.volume / RUNS / run), self.volume, paid, self.silent)
