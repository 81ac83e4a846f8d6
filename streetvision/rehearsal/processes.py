"""The programs of a rehearsal as processes of their own: Ctrl-C reaches this one alone, and none outlives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from streetvision.demo.programs import STARTUP_PATIENCE_S, STOP_PATIENCE_S, miner_command, validator_command
from streetvision.errors import OperatorError
from streetvision.settings.fields import variables

Event = Mapping[str, Any]
Hear = Callable[[Event], None]

KEPT_LINES = 20


class Program:
    """A process whose lines of JSON are heard; use `program`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, hear: Hear) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            cwd=folder,
            env=dict(environment),
        )
        self._words: deque[str] = deque(maxlen=KEPT_LINES)
        pipes = (self._process.stdout, self._process.stderr)
        self._listeners = [threading.Thread(target=self._listen, args=(pipe, hear), daemon=True) for pipe in pipes]
        for listener in self._listeners:
            listener.start()

    @property
    def code(self) -> int | None:
        """How it ended."""
        return self._process.poll()

    @property
    def last_words(self) -> str:
        """For an error."""
        return self._words[-1] if self._words else "no reason given"

    def wait(self) -> int:
        """Until it has ended by itself."""
        code = self._process.wait()
        for listener in self._listeners:
            listener.join()
        return code

    def end(self) -> None:
        """Ask it to end, ask again, and end it; each time it is given a while."""
        for ask in (self._process.terminate, self._process.terminate, self._process.kill):
            if self._process.poll() is None:
                ask()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOP_PATIENCE_S)
        for listener in self._listeners:
            listener.join(STOP_PATIENCE_S)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _listen(self, pipe: IO[str], hear: Hear) -> None:
        for line in pipe:
            try:
                event = json.loads(line)
            except ValueError:
                self._words.append(line.strip())
                continue
            if isinstance(event, dict):
                if event.get("level") in ("ERROR", "CRITICAL"):
                    self._words.append(str(event.get("message")))
                hear(event)


@contextmanager
def program(command: Sequence[str], environment: Mapping[str, str], folder: Path, hear: Hear) -> Iterator[Program]:
    """A process within; ended with it."""
    running = Program(command, environment, folder, hear)
    try:
        yield running
    finally:
        running.end()


@contextmanager
def miner(state: Path, model: str, environment: Mapping[str, str]) -> Iterator[Program]:
    """The real miner on the mock network, ready to answer."""
    ready = threading.Event()

    def hear(line: Event) -> None:
        if str(line.get("message", "")).startswith("ready"):
            ready.set()

    command = miner_command(state, "--model", model)
    with program(command, environment, state.parent, hear) as running:
        until = time.monotonic() + STARTUP_PATIENCE_S
        while not ready.wait(0.2):
            if running.code is not None or time.monotonic() > until:
                raise OperatorError(f"the miner did not become ready: {running.last_words}")
        yield running


@contextmanager
def validator(
    state: Path, pictures: Path, period_s: float, environment: Mapping[str, str], hear: Hear
) -> Iterator[Program]:
    """The simulated validator, which asks these pictures again and again."""
    command = validator_command(state, period_s, "--pictures", str(pictures))
    with program(command, environment, state.parent, hear) as running:
        yield running


def environment_of(own: Mapping[str, str]) -> dict[str, str]:
    """This process's, without its settings of a miner: those of the rehearsal take their place."""
    theirs = set(variables())
    return {name: text for name, text in os.environ.items() if name not in theirs} | dict(own)
