"""The newest lines of miners' logs, and those that come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from streetvision.errors import OperatorError
from streetvision.fleet.last_words import tail
from streetvision.fleet.member import Member
from streetvision.fleet.running import holder
from streetvision.fleet.units import unit_of

PAUSE_S = 0.3
LONGEST_LINE = 1 << 20
Line = tuple[str, str]
"""A miner's name, and what it said."""


def newest(members: Sequence[Member], count: int) -> Iterator[Line]:
    """The last `count` lines of each; OperatorError when none of them has a log."""
    if not any(member.log.exists() for member in members):
        raise OperatorError(_no_log(members))
    for member in members:
        for line in tail(member.log).splitlines()[-count:] if count else ():
            yield member.name, line


def followed(members: Sequence[Member], count: int, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[Line]:
    """The same, and then for ever what comes; a log that is emptied or made anew is read from its beginning."""
    places = {member.name: member.log.stat().st_size if member.log.exists() else 0 for member in members}
    yield from newest(members, count)
    while True:
        for member in members:
            for line in _more(member, places):
                yield member.name, line
        sleep(PAUSE_S)


def _more(member: Member, places: dict[str, int]) -> list[str]:
    """Whole lines since the last look."""
    try:
        with member.log.open("rb") as file:
            size = file.seek(0, 2)
            place = places[member.name] if places[member.name] <= size else 0
            file.seek(place)
            data = file.read(LONGEST_LINE)
    except FileNotFoundError:
        places[member.name] = 0
        return []
    end = data.rfind(b"\n") + 1 or (len(data) if len(data) == LONGEST_LINE else 0)
    places[member.name] = place + end
    return data[:end].decode(errors="replace").splitlines()


def _no_log(members: Sequence[Member]) -> str:
    """Where what they say is to be read instead."""
    for member in members:
        pid = holder(member)
        unit = None if pid is None else unit_of(pid)
        if unit is not None:
            return f"systemd keeps the log of {member.name}: `journalctl -u {unit.removesuffix('.service')} -f`"
    return "no log yet: start the miners with `streetvision fleet up`"
