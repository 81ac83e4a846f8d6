"""One process for each device, started by torch's own launcher; the first one's words come back through a pipe."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from streetvision.errors import OperatorError
from streetvision.training.keeping import Stopped, Tell
from streetvision.training.run_folder import RunFolder

WORKER = "streetvision.training.worker"
FAILED_EVENT, STOPPED_EVENT = "failed", "stopped"
STOP_FILE = "stop"
"""In the run's folder: the operator's wish, for all processes."""
LAST_LINES = 2000
"""Of what the processes write to stderr, kept for the sentence when they fail without one."""
POLL_S = 0.2
_ERROR = re.compile(r"\b[\w.]+(?:Error|Exception): .*")


def launch(run: RunFolder, count: int, tell: Tell, stop: Callable[[], bool]) -> None:
    """Train in `count` processes; raises OperatorError with the sentence of the one that failed, or Stopped."""
    # The address: a machine need not be able to resolve its own name.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    command += [f"--nproc_per_node={count}", "-m", WORKER, str(run.path)]
    with subprocess.Popen(  # noqa: S603  # our own command
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
    ) as process:
        heard: list[dict[str, str]] = []
        errors: deque[str] = deque(maxlen=LAST_LINES)
        threads = [
            threading.Thread(target=_listen, args=(process, tell, heard), daemon=True),
            threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True),
        ]
        for thread in threads:
            thread.start()
        _wait(process, run, stop)
        for thread in threads:
            thread.join()
    raise_failure(process.returncode, heard, errors)


def _listen(process: subprocess.Popen[str], tell: Tell, heard: list[dict[str, str]]) -> None:
    """Hand on what the first process tells; keep how it ended."""
    for line in process.stdout or ():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a library's own words
        if isinstance(event, dict) and event.get("event") in (FAILED_EVENT, STOPPED_EVENT):
            heard.append(event)
        elif isinstance(event, dict):
            tell(event)


def _wait(process: subprocess.Popen[str], run: RunFolder, stop: Callable[[], bool]) -> None:
    """Until all have ended; a wish to stop is passed on by a file, which the processes look for."""
    wish = run.path / STOP_FILE
    wish.unlink(missing_ok=True)
    try:
        while process.poll() is None:
            if stop():
                wish.touch()
            try:
                process.wait(POLL_S)
            except subprocess.TimeoutExpired:
                continue
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        wish.unlink(missing_ok=True)


def raise_failure(code: int, heard: Sequence[Mapping[str, str]], errors: Sequence[str]) -> None:
    """Raise what the processes said of their end: Stopped or OperatorError; nothing after the last step."""
    for event in heard:
        if event["event"] == STOPPED_EVENT:
            raise Stopped(event["why"])
        raise OperatorError(event["why"])
    if code:
        found = (_ERROR.search(line) for line in errors)
        said = next((match[0].strip() for match in found if match), "no reason given")
        raise OperatorError(f"a process of the training ended with code {code} ({said:.300}): resume the run")
