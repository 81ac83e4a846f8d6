"""A video's packets by groups of pictures: what follows the last frame that is wanted of one need not be decoded. Pure.

A group begins with a keyframe, and nothing after it needs what stood before, but for leading pictures (of an open
group: shown before the keyframe that they follow).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor
from typing import Generic, Protocol, TypeVar

MOST_PACKETS = 600
MOST_BYTES = 32 * 1024 * 1024
"""Bounds of what waits for the next keyframe: a recording may hold only one."""


class Packet(Protocol):
    """What is asked of PyAV's packets."""

    @property
    def pts(self) -> int | None:
        """When its frame is shown, in the stream's units."""
        ...

    @property
    def size(self) -> int:
        """Bytes; 0 for the one that asks the decoder for what it still holds."""
        ...

    @property
    def is_keyframe(self) -> bool:
        """Whether decoding may begin with it."""
        ...


P = TypeVar("P", bound=Packet)


@dataclass(frozen=True, slots=True)
class Group(Generic[P]):
    """A keyframe and what follows it, or a part of that."""

    packets: list[P]
    whole: bool
    """Whether it begins with a keyframe and ends before one or with the file."""

    @property
    def last(self) -> int | None:
        """The latest time at which one of its frames is shown, in the stream's units; None where that is not sure."""
        shown = [packet.pts for packet in self.packets if packet.size]
        known = [pts for pts in shown if pts is not None]
        return max(known) if self.whole and known and len(known) == len(shown) else None

    def without_leading(self) -> list[P]:
        """Its packets but for leading pictures, which need a frame of the group before."""
        first = self.packets[0].pts
        return [one for one in self.packets if one.pts is None or first is None or one.pts >= first]


def groups(packets: Iterator[P]) -> Iterator[Group[P]]:
    """All packets in their order, split before keyframes and where a bound is reached."""
    held: list[P] = []
    size, begun = 0, False
    for packet in packets:
        full = len(held) >= MOST_PACKETS or size >= MOST_BYTES
        if held and (packet.is_keyframe or full):
            yield Group(held, begun and packet.is_keyframe)
            held, size, begun = [], 0, False
        begun = packet.is_keyframe if not held else begun
        held.append(packet)
        size += packet.size
    if held:
        yield Group(held, begun)


def grid_point(time: float, per_second: float) -> int:
    """The number of the last point of the grid at or before a time in seconds."""
    return floor(time * per_second + 1e-6)
