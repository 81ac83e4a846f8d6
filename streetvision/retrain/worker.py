"""What child.py starts: `python -m streetvision.retrain.worker JOB NICE`, its request a line on standard input.

Lines of JSON on standard output tell of progress and, last, of the end. Jobs are in jobs/; a new one is a line here.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from streetvision.base.state_folder import only_one
from streetvision.errors import OperatorError
from streetvision.retrain.child import DONE, FAILED, FOLDER, GRACE_S, STOPPED, JobStopped, Tell

JOBS = ("mine", "synthesise", "combine", "doubt", "train", "judge", "add", "answered", "upload")
"""Each the function `run` of a file in jobs/."""
ORPHAN_S = GRACE_S + 30.0
"""Longest wait for a job whose parent was killed: it is saving what it has learned."""


def main(job: str, nice: int, source: TextIO = sys.stdin) -> int:
    """Do the job so far behind other processes; the exit code."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print where they should not

    def say(event: Mapping[str, Any]) -> None:
        out.write(json.dumps(event) + "\n")
        out.flush()

    _step_back(nice)
    request = json.loads(source.readline())
    stopping = threading.Event()
    threading.Thread(target=_heed, args=(source, stopping), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the parent, which asks us to stop
    try:
        with _alone(Path(request[FOLDER])):
            if stopping.is_set():
                raise JobStopped  # its parent went while it waited
            say({"event": DONE, "result": do(job, request, say, stopping.is_set)})
    except JobStopped:
        say({"event": STOPPED})
    except OperatorError as error:
        say({"event": FAILED, "why": str(error)})
        return 1
    return 0


def do(job: str, request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]) -> Mapping[str, Any]:
    """Carry out a job in this process; raises OperatorError or JobStopped."""
    if job not in JOBS:
        raise OperatorError(f"there is no job {job!r:.40}: this is a defect, please report it")
    module = importlib.import_module(f"streetvision.retrain.jobs.{job}")
    result: Mapping[str, Any] = module.run(request, tell, stop)
    return result


def _step_back(nice: int) -> None:
    """Leave processor time to others, and be the first to go when memory runs out.

    Where the system groups processes by session, niceness counts within a group alone, so the group steps back too.
    """
    os.setpriority(os.PRIO_PROCESS, 0, max(nice, os.getpriority(os.PRIO_PROCESS, 0)))
    for file, value in (("autogroup", nice), ("oom_score_adj", 1000)):
        with contextlib.suppress(OSError):  # a container may not let us
            Path("/proc/self", file).write_text(f"{value}")


def _heed(source: TextIO, stopping: threading.Event) -> None:
    """The end of standard input asks to stop; whoever does not within the grace is ended with all that it started."""
    source.read()
    stopping.set()
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for a job that a killed parent left behind, then keep others out of the run's folder."""
    until = time.monotonic() + ORPHAN_S
    while True:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(only_one(folder, "job", remedy="let it finish"))
            except OperatorError:
                if time.monotonic() > until:
                    raise
                time.sleep(1.0)
                continue
            yield
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
