"""The running monitor through the control socket: a pass of the rules as of now, with the observation behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from streetvision import __version__
from streetvision.control.server import Handler, Progress
from streetvision.errors import OperatorError
from streetvision.monitor.derived import node_time_is_wrong
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule_pass import RulePass
from streetvision.monitor.thresholds import HOUR, THRESHOLDS

if TYPE_CHECKING:
    from streetvision.monitor.monitor import Monitor


def monitor_operations(monitor: Monitor, about: Callable[[], Mapping[str, Any]] = lambda: {}) -> dict[str, Handler]:
    """The operations by name, for a ControlServer; `about` is what else tells one miner from another."""

    async def findings(arguments: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
        if arguments:
            raise OperatorError("`findings` takes no arguments")
        passed = await monitor.judge_now()
        return {"miner": {"pid": os.getpid(), "version": __version__, **about()}, **told(passed)}

    return {"findings": findings}


def told(passed: RulePass) -> dict[str, Any]:
    """A pass and the figures behind it as plain values."""
    return {"observed": observed(passed.seen), **passed.as_dict()}


def observed(seen: Observation) -> dict[str, Any]:
    """The parts of an observation that are small and finite."""
    hour = seen.traffic.total(seen.now - HOUR, seen.now + 1)
    age = seen.snapshot_age
    return {
        "now": seen.now,
        "hotkey": seen.hotkey,
        "endpoint": seen.endpoint,
        "snapshot_age": age if age is not None and isfinite(age) else None,
        "chain_failures": seen.chain_failures,
        "blocks_behind": seen.blocks_behind,
        "offsets": dict(seen.offsets),
        "blind": node_time_is_wrong(seen, THRESHOLDS),
        "listening_since": seen.traffic.listening_since,
        "last_request": seen.traffic.last_request,
        "requests": hour.requests,
        "answered": hour.answered,
        "refusals": None if seen.refusals is None else [asdict(refusal) for refusal in seen.refusals],
        **{
            name: None if value is None else asdict(value)
            for name, value in (
                ("latest", seen.latest),
                ("probe", seen.probe),
                ("model", seen.model),
                ("rollout", seen.rollout),
                ("device", seen.device),
                ("machine", seen.machine),
                ("log", seen.log),
                ("history", seen.history),
            )
        },
    }
