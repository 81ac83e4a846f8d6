"""Heavy work in a process of its own: at a low priority, within a bound of memory, gone when its parent is.

What serves must not feel it: the child steps back behind others for processor and disk, it is the first that the kernel
ends when memory runs out, and what it loads on a GPU is free when it ends. Its standard input stays open for as long as
it may work: the end of that, by a wish to stop or by the parent's death, asks it to stop.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streetvision.errors import OperatorError

WORKER = "streetvision.retrain.worker"
FOLDER = "folder"
"""Key of every request: the run's folder, in which one job works at a time."""
DONE, FAILED, STOPPED = "done", "failed", "stopped"
"""Events that end a job."""
LOOK_S = 0.5
"""Seconds between two looks at memory and at the wish to stop."""
GRACE_S = 180.0
"""Longest wait for a child that was asked to stop: it saves what it has learned."""
KEPT_LINES = 200
MPS_SHARE = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"
"""By which MPS knows how many multiprocessors a process may use."""
_GIB = float(1 << 30)

Event = Mapping[str, Any]
Tell = Callable[[Event], None]


class JobStopped(Exception):
    """The job ended because it was asked to, in a state that it can go on from."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a job may take."""

    memory_gib: float
    gpu_share: float = 1.0
    """Of the GPU's multiprocessors; it holds where NVIDIA's MPS runs, and without it processes take turns."""
    nice: int = 10
    grace_s: float = GRACE_S


def run_job(
    job: str,
    request: Mapping[str, Any],
    bounds: Bounds,
    *,
    tell: Tell = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Do one of worker.JOBS; returns its result. `tell` hears its events, in this thread or another.

    Raises OperatorError with the job's own sentence, for a job that died, or for one that took too much memory; and
    JobStopped where `stop` asked for it.
    """
    with _started(job, request, bounds) as process:
        ends: list[Event] = []
        errors: deque[str] = deque(maxlen=KEPT_LINES)
        listeners = [
            threading.Thread(target=_listen, args=(process, tell, ends), daemon=True),
            threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True),
        ]
        for thread in listeners:
            thread.start()
        _watch(process, job, bounds, stop, clock)
        for thread in listeners:
            thread.join(LOOK_S)
        return _result(job, process.returncode, ends, errors)


@contextmanager
def _started(job: str, request: Mapping[str, Any], bounds: Bounds) -> Iterator[subprocess.Popen[str]]:
    """The child with its request; whatever happens, nothing of it is left."""
    process = subprocess.Popen(  # noqa: S603  # our own command
        [*_idle_disk(), sys.executable, "-m", WORKER, job, f"{bounds.nice}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, MPS_SHARE: f"{max(1, round(100 * bounds.gpu_share))}"},
    )
    try:
        with suppress(BrokenPipeError):  # it says why it ended
            assert process.stdin is not None  # noqa: S101 - a pipe was asked for
            process.stdin.write(json.dumps(dict(request)) + "\n")
            process.stdin.flush()
        yield process
    finally:
        _end(process)


def _idle_disk() -> tuple[str, ...]:
    """Let the disk serve others first, where the system has a word for that."""
    found = shutil.which("ionice")
    return (found, "-c", "3") if found else ()


def _end(process: subprocess.Popen[str]) -> None:
    """End the child and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _listen(process: subprocess.Popen[str], tell: Tell, ends: list[Event]) -> None:
    """Hand on what the job tells; keep how it ended."""
    for line in process.stdout or ():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a library's own words
        if isinstance(event, dict) and event.get("event") in (DONE, FAILED, STOPPED):
            ends.append(event)
        elif isinstance(event, dict):
            tell(event)


def _watch(
    process: subprocess.Popen[str], job: str, bounds: Bounds, stop: Callable[[], bool], clock: Callable[[], float]
) -> None:
    """Until it has ended; OperatorError when it takes too much memory, or does not stop in time."""
    asked: float | None = None
    while process.poll() is None:
        used = session_memory(process.pid) / _GIB
        if used > bounds.memory_gib:
            raise OperatorError(
                f"the job `{job}` took {used:.1f} GiB of memory and was ended: raise --retrain.memory_gib, or lower "
                "run.batch in a recipe of your own"
            )
        if asked is None and stop():
            asked = clock()
            if process.stdin is not None:
                process.stdin.close()
        if asked is not None and clock() - asked > bounds.grace_s:
            raise JobStopped
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_S)


def _result(job: str, code: int, ends: list[Event], errors: deque[str]) -> dict[str, Any]:
    for event in ends:
        if event["event"] == DONE:
            return dict(event["result"])
        if event["event"] == STOPPED:
            raise JobStopped
        raise OperatorError(str(event["why"]))
    if code == -signal.SIGKILL:
        raise OperatorError(
            f"the job `{job}` was killed, as the system does when memory runs out (`dmesg` tells): free some, or lower "
            "run.batch in a recipe of your own"
        )
    ended = f"signal {-code}" if code < 0 else f"code {code}"
    said = next((line.strip() for line in reversed(errors) if line.strip()), "no reason given")
    raise OperatorError(f"the job `{job}` ended with {ended} ({said:.300})")


def session_memory(leader: int, proc: Path = Path("/proc")) -> int:
    """Bytes that the processes of a session hold for themselves, files that they map left out."""
    return sum(_own_memory(path) for path in proc.iterdir() if path.name.isdigit() and _session(path) == leader)


def _session(path: Path) -> int | None:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[3])
    except (OSError, ValueError, IndexError):
        return None  # it has ended


def _own_memory(path: Path) -> int:
    try:
        fields = dict(line.split(":", 1) for line in (path / "status").read_text().splitlines() if ":" in line)
    except OSError:
        return 0
    return sum(int(fields.get(name, "0 kB").split()[0]) << 10 for name in ("RssAnon", "RssShmem"))
