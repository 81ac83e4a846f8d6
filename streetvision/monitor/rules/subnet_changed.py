"""The subnet is no longer the one that we joined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streetvision.base.wording import moment
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import METAGRAPH
from streetvision.monitor.observation import Observation
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import DAY, Thresholds

_READ = "Read the subnet's announcements before you pay for anything: questions and rewards may change with it."
_LEAVE = (
    "What this miner answers is of no use to another subnet. Find out where the old one went, and set --netuid to it; "
    "stop the miner until then, and do not register here again."
)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing about the subnet that is no longer as it was."""

    what: str
    old: str | int
    new: str | int
    since: HistoryPoint
    """The first point that shows it."""

    @property
    def sentence(self) -> str:
        """Tells both values and the time."""
        when = f"{moment(self.since.time)} (block {self.since.block})"
        return f"{self.what} was {self.old}, and is {self.new} since {when}."


def subnet_changed(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The netuid belongs to somebody else, bears another name, or was given to another subnet."""
    begin = seen.now - limits.subnet_change_days * DAY
    owner = _change(seen.points, begin, "The owner's coldkey", lambda point: point.subnet_owner)
    name = _change(seen.points, begin, "The subnet's name", lambda point: point.subnet_name)
    given = _change(seen.points, begin, "The block of the netuid's registration", lambda p: p.subnet_registered_at)
    changes = [change for change in (given, owner, name) if change is not None]
    if not changes:
        return []
    another = given is not None or len(changes) > 1
    return [
        Finding(
            code="subnet_changed",
            severity=Severity.CRITICAL if another else Severity.WARNING,
            title=_title(given, owner, name),
            evidence=tuple(change.sentence for change in changes),
            remedy=_LEAVE if given is not None else _READ,
            since=max(change.since.time for change in changes),
            data={
                **{f"old_{key}": change.old for key, change in _named(given, owner, name)},
                **{f"new_{key}": change.new for key, change in _named(given, owner, name)},
            },
        )
    ]


def _title(given: Change | None, owner: Change | None, name: Change | None) -> str:
    if given is not None:
        return "the netuid was given to another subnet"
    if owner is not None and name is not None:
        return "the subnet has another owner and another name: it may be another subnet"
    return "the subnet has another owner" if owner is not None else "the subnet has another name"


def _named(given: Change | None, owner: Change | None, name: Change | None) -> list[tuple[str, Change]]:
    pairs = (("registered_at", given), ("owner", owner), ("name", name))
    return [(key, change) for key, change in pairs if change is not None]


def _change(
    points: tuple[HistoryPoint, ...], begin: float, what: str, read: Callable[[HistoryPoint], str | int | None]
) -> Change | None:
    """The change from the value known at `begin` (else the first known after it) to the last known; None for none."""
    known = [(point, value) for point in points if (value := read(point)) is not None]
    if not known:
        return None
    first = next((i for i, (point, _) in enumerate(known) if point.time >= begin), len(known))
    old, new = known[max(0, first - 1)][1], known[-1][1]
    if old == new:
        return None
    start = next(i for i in range(len(known) - 1, -1, -1) if known[i][1] != new)
    return Change(what, old, new, known[start + 1][0])


RULES = (
    Rule(
        code="subnet_changed",
        order=300,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="The netuid's owner or name changed in the last week, or it was given to another subnet",
        remedy="Read the subnet's announcements; leave when another subnet has the netuid",
        judge=subnet_changed,
        needs=(METAGRAPH,),
        of_subnet=True,
    ),
)
