"""The running miner's word on itself, through its control socket."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streetvision import __version__
from streetvision.base.start_steps import starting_in
from streetvision.base.state_folder import WORK, lock_holder
from streetvision.control.client import SOCKET_NAME, MinerStarting, call
from streetvision.doctor.bounds import parted
from streetvision.doctor.check import Check, failure, of_finding, ok, skipped, warning
from streetvision.errors import OperatorError
from streetvision.miner.starts import crashes_of, read_starts
from streetvision.monitor.finding import Finding, read_finding
from streetvision.monitor.observation import Observation
from streetvision.monitor.rules.crash_loop import crash_loop
from streetvision.monitor.thresholds import THRESHOLDS
from streetvision.monitor.unjudged import Unjudged, read_unjudged

OPERATION = "findings"
SILENCE_S = 8.0
START = "Start it: python neurons/miner.py, pm2 start, or systemctl start streetvision (docs/services.md)."

WAIT = "Wait until its log says `ready`; compiling a model takes minutes the first time."


@dataclass(frozen=True)
class Live:
    """A miner that runs in the state folder, and all that it observes."""

    miner: Mapping[str, Any]
    """`pid`, `version`, and where it serves: `port`, `netuid`, `network`."""
    observed: Mapping[str, Any]
    """See control/monitor_operations.py."""
    findings: tuple[Finding, ...]
    diagnosis: Mapping[str, Any]
    unjudged: tuple[Unjudged, ...] = ()


def ask(state_dir: Path) -> Live:
    """The running miner's answer; OperatorError when there is none, or one of another version."""
    answer = call(state_dir / SOCKET_NAME, OPERATION, silence_s=SILENCE_S)
    try:
        found = tuple(map(read_finding, answer["findings"]))
        unjudged = read_unjudged(answer.get("unjudged", ()))  # a miner of before an update does not tell them
        return Live(answer["miner"], answer["observed"], found, answer["diagnosis"], unjudged)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OperatorError("the miner is of another version than this command: restart the miner") from error


def check_miner(state_dir: Path, live: Live | None, error: OperatorError | None) -> Check:
    """Whether a miner runs here, starts, crashes again and again, or is of another version."""
    if live is not None:
        pid, version = live.miner.get("pid"), live.miner.get("version")
        evidence = f"process {pid}, version {version}, state folder {state_dir}"
        if version != __version__:
            return warning(
                "miner", f"{evidence}; installed is {__version__}", "Restart the miner to use what is installed."
            )
        return ok("miner", evidence)
    starting = holds_folder(state_dir)
    if (crashes := _crashes(state_dir, starting)) is not None:
        return crashes
    if not starting:
        return skipped("miner", f"no miner runs with the state folder {state_dir}", START)
    return _silent(state_dir, error)


def _silent(state_dir: Path, error: OperatorError | None) -> Check:
    """A miner holds the folder and did not answer: it starts, or it hangs."""
    if isinstance(error, MinerStarting):
        return warning("miner", str(error), WAIT)
    wrong, remedy = parted(str(error))
    if not (state_dir / SOCKET_NAME).exists():
        return warning("miner", wrong, remedy or WAIT)
    return failure("miner", wrong, remedy or "Read the miner's log; restart it.")


def _crashes(state_dir: Path, starting: bool) -> Check | None:
    """The crash loop of a miner that does not answer, by its record of starts; a start that goes on is no crash."""
    starts, now = read_starts(state_dir), time.time()
    crashes = crashes_of(starts[:-1] if starting else starts, now)
    found = crash_loop(Observation(now, "", crashes=crashes), THRESHOLDS)
    return of_finding("miner", found[0]) if found else None


def holds_folder(state_dir: Path) -> bool:
    """Whether a miner has this state folder, though it may not answer yet."""
    return starting_in(state_dir) is not None or lock_holder(state_dir / f"{WORK}.lock") is not None
