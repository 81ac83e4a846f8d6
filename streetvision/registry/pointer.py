"""active.json: which version serves, since when and why, and what served before. It survives restarts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from streetvision.base.disk import write_atomically
from streetvision.errors import OperatorError, reason

HISTORY = 50


@dataclass(frozen=True, slots=True)
class PointerStep:
    """The pointer moved."""

    version: str | None
    """What serves from then on; None: what --model names."""
    at: str
    """ISO 8601 in UTC."""
    why: str
    over: str
    """The value of --model at that time: while it stays so, the pointer wins over it at a restart."""
    failed: bool = False
    """Whether this version was left because it failed; it is then never the last good one."""


def read_steps(path: Path) -> tuple[PointerStep, ...]:
    """The history, oldest first; empty where there is none. OperatorError when the file is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return tuple(_step(item) for item in data["history"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OperatorError(
            f"{path} is damaged ({reason(error)}): remove it, then name the version to serve with --model."
        ) from error


def write_steps(path: Path, steps: tuple[PointerStep, ...]) -> None:
    """Replace the history atomically; the newest are kept."""
    write_atomically(path, json.dumps({"history": [asdict(step) for step in steps[-HISTORY:]]}, indent=2) + "\n")


def last_good(steps: tuple[PointerStep, ...]) -> PointerStep | None:
    """The newest step before the current one to another version that has not failed since; None if there is none."""
    if not steps:
        return None
    failed = {step.version: step.failed for step in steps}
    earlier = (step for step in reversed(steps) if step.version != steps[-1].version and not failed[step.version])
    return next(earlier, None)


def _step(item: dict[str, object]) -> PointerStep:
    step = PointerStep(**item)  # type: ignore[arg-type]  # checked on the next lines
    texts = (step.at, step.why, step.over)
    right = all(isinstance(text, str) for text in texts) and isinstance(step.failed, bool)
    if not right or not isinstance(step.version, str | None):
        raise ValueError("a step of the history has a wrong type")
    return step
