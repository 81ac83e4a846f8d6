"""The miner's last starts and how each ended, in the state folder: a crash loop is seen there, and slowed down.

A crash is an end without a clean stop: the process was killed or broke down, or a defect or a lost device ended it. A
start that was refused with a sentence (a wrong setting, no registration) is none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from loguru import logger

from streetvision.base.disk import write_atomically
from streetvision.errors import OperatorError, RestartNeeded, reason
from streetvision.monitor.observation import CrashView
from streetvision.monitor.thresholds import THRESHOLDS

STARTS_FILE = "starts.json"
KEPT = 32
FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 600.0
"""Before the start after as many crashes as make a loop, doubled with each further one."""
MAX_REASON = 300
UNSEEN = "it ended without a word: killed, out of memory, or broken down in native code"


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the miner."""

    at: float
    """Unix seconds."""
    end: str = ""
    """`stopped`, `refused` or `crashed`; empty while it runs, and for ever when it was killed."""
    reason: str = ""
    """Why it was refused or crashed, one line."""


class Starts:
    """`begin` when the state folder is held, and `end` once; the disk never stops a miner."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder, self._now = folder, now
        self._known: tuple[Start, ...] | None = None
        self.crashes: tuple[CrashView, ...] = ()
        """Of the starts before this one, oldest first."""

    def begin(self) -> float:
        """Write this start down; returns the seconds to wait before the device is touched, as the last starts ended."""
        before, now = read_starts(self._folder), self._now()
        self.crashes = crashes_of(before, now)
        self._write((*before, Start(now)))
        pause = pause_after(len(self.crashes))
        if pause:
            logger.error(
                "start: {} starts in a row ended in a crash, the last one so: {}. Waiting {:g} s before the next try; "
                "a stop and a start by hand skip it",
                len(self.crashes),
                self.crashes[-1].why,
                pause,
            )
        return pause

    def end(self, error: BaseException | None) -> None:
        """Write down how this start ended; None is a clean stop. Nothing to do before `begin`."""
        if self._known is None:
            return
        reason = "" if error is None else _one_line(error)
        *before, own = self._known
        self._write((*before, replace(own, end=_end_of(error), reason=reason)))

    def _write(self, starts: Sequence[Start]) -> None:
        self._known = tuple(starts[-KEPT:])
        path = self._folder / STARTS_FILE
        try:
            write_atomically(path, json.dumps([asdict(start) for start in self._known]))
        except OSError as error:
            logger.warning("start: {} cannot be written ({}); a crash loop may go unseen", path, reason(error))


def read_starts(folder: Path) -> tuple[Start, ...]:
    """The starts that are written down, oldest first; nothing where the file cannot be read."""
    try:
        entries = json.loads((folder / STARTS_FILE).read_text(encoding="utf-8"))
        starts = [Start(float(e["at"]), str(e["end"]), str(e["reason"])) for e in entries[-KEPT:]]
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        logger.warning("start: {} cannot be read ({}); it is begun anew", folder / STARTS_FILE, reason(error))
        return ()
    return tuple(starts)


def crashes_of(starts: Sequence[Start], now: float) -> tuple[CrashView, ...]:
    """The crashes of the window since the last clean stop, oldest first. Pure."""
    found: list[CrashView] = []
    for start in reversed(starts):
        if start.end == "stopped" or not 0 <= now - start.at <= THRESHOLDS.crash_window_s:
            break
        if start.end != "refused":
            found.append(CrashView(start.at, start.reason or UNSEEN))
    return tuple(reversed(found))


def pause_after(crashes: int) -> float:
    """Seconds to wait before the next start: none before a loop, then ever longer. Pure."""
    if crashes < THRESHOLDS.crashes:
        return 0.0
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (crashes - THRESHOLDS.crashes))


def _end_of(error: BaseException | None) -> str:
    if error is None:
        return "stopped"
    return "refused" if isinstance(error, OperatorError) and not isinstance(error, RestartNeeded) else "crashed"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    kind = "" if isinstance(error, OperatorError) else f"{type(error).__name__}: "
    return f"{kind}{text}"[:MAX_REASON].rstrip(".")
