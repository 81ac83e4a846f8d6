"""A script: processes that are killed (SIGKILL) one after the other at given points of a run, then one that is not.

Arguments: the state folder, then points such as `train:marked` (in the step) and `train:done` (after its output was
kept). Prints how each process ended.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streetvision.retrain import facts
from streetvision.retrain.step import Context, Output, Step
from streetvision.retrain_log.records import StepName

from .fakes import World, marking, settings_in

facts.NEEDED = ()
facts.halt_told(settings_in(Path(sys.argv[1])), 0.0)  # imports once for all children


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_in(name: StepName, point: str) -> Step:
    def step(context: Context) -> Output:
        output = marking(name)(context)
        if point == f"{name}:marked":
            kill()
        return output

    return step


def run(state: Path, point: str) -> None:
    world = World(state, steps={name: killed_in(name, point) for name in StepName})

    def tell(event: Mapping[str, Any]) -> None:
        if event["event"] == "step_done" and point == f"{event['step']}:done":
            kill()

    world.tell = tell
    world.run()


for point in (*sys.argv[2:], ""):
    child = os.fork()
    if child == 0:
        run(Path(sys.argv[1]), point)
        os._exit(0)
    print(point, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
