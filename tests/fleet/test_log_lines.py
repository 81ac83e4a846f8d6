"""`fleet logs`: the newest lines, and those that come, whatever happens to the file meanwhile."""

from __future__ import annotations

import os
from itertools import islice

import pytest

from streetvision.errors import OperatorError
from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.log_lines import followed, newest


def say(fleet: Fleet, place: int, text: str) -> None:
    member = fleet.members[place]
    member.folder.mkdir(parents=True, exist_ok=True)
    with member.log.open("a") as log:
        log.write(text)


def test_the_newest_of_each(fleet: Fleet) -> None:
    say(fleet, 0, "1\n2\n3\n")
    say(fleet, 2, "4\n")
    assert list(newest(fleet.members, 2)) == [("hot1", "2"), ("hot1", "3"), ("hot3", "4")]
    assert list(newest(fleet.members, 0)) == []


def test_without_any_log(fleet: Fleet) -> None:
    with pytest.raises(OperatorError, match="no log yet: start the miners with `streetvision fleet up`"):
        list(newest(fleet.members, 5))


def test_what_comes_is_told_in_whole_lines(fleet: Fleet) -> None:
    say(fleet, 0, "old\n")
    steps = iter(
        (
            lambda: say(fleet, 0, "half"),
            lambda: say(fleet, 0, " and half\n"),
            lambda: say(fleet, 1, "first of another\n"),
            lambda: os.truncate(fleet.members[0].log, 0),
            lambda: say(fleet, 0, "after it was emptied\n"),
        )
    )
    lines = followed(fleet.members, 1, sleep=lambda _: next(steps)())
    assert list(islice(lines, 4)) == [
        ("hot1", "old"),
        ("hot1", "half and half"),
        ("hot2", "first of another"),
        ("hot1", "after it was emptied"),
    ]
