"""A program that imports all that a miner needs, once, and then forks for each miner that it is told to start.

For tests of what comes after the imports, which take four seconds of CPU. An order is a line of JSON on stdin, answered
by the process's id; when the process has ended, its exit code is in the file that the order names.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import signal
import sys
from pathlib import Path

from streetvision.base.resources import limit_thread_pools

POLL_S = 0.02


def main() -> None:
    """Serve until stdin ends."""
    limit_thread_pools()
    import streetvision.miner.miner
    import streetvision.runner.torch_runner  # which a miner imports only where torch serves

    del streetvision
    gc.freeze()
    orders, ends = os.fdopen(0, "rb", 0), dict[int, Path]()
    while True:
        if select.select([orders], [], [], POLL_S)[0]:
            line = orders.readline()
            if not line:
                return
            order = json.loads(line)
            child = os.fork()
            if child == 0:
                become(**order)
                return
            ends[child] = Path(order["end"])
            print(child, flush=True)
        for child in list(ends):
            if (status := os.waitpid(child, os.WNOHANG))[0]:
                write_whole(ends.pop(child), str(os.waitstatus_to_exitcode(status[1])))


def become(command: list[str], output: str, folder: str, environ: dict[str, str], end: str) -> None:
    """Be `python COMMAND`, in a session of its own."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    for descriptor, name in ((0, os.devnull), (1, output), (2, output)):
        os.dup2(os.open(name, os.O_RDWR if descriptor == 0 else os.O_WRONLY | os.O_APPEND), descriptor)
    signal.set_wakeup_fd(-1)
    sys.argv = command
    sys.path[0] = str(Path(command[0]).parent)
    limit_thread_pools()
    runpy.run_path(command[0], run_name="__main__")


def write_whole(path: Path, text: str) -> None:
    """Whoever sees the file sees all of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(path)


if __name__ == "__main__":
    main()
