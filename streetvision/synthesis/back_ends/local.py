"""On this machine, without a network and for nothing: weather and light by photometry, works drawn in or taken out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from streetvision.synthesis.back_end import Declined, Order
from streetvision.synthesis.effects.fields import Pixels, luma
from streetvision.synthesis.effects.lens import dirt, out_of_focus
from streetvision.synthesis.effects.night import night
from streetvision.synthesis.effects.removal import without
from streetvision.synthesis.effects.weather import fog, rain, snow
from streetvision.synthesis.effects.works import with_look_alikes, with_works
from streetvision.synthesis.kinds import Kind
from streetvision.synthesis.pixels import read_pixels, write_pixels

NAME = "local 1"
"""The number grows whenever an effect would give another picture."""
DARK = 0.16
"""Median brightness below which a street is by night already."""
Effect = Callable[[Pixels, np.random.Generator], Pixels | None]
EFFECTS: Mapping[str, Effect] = {
    "night": night,
    "rain": rain,
    "fog": fog,
    "snow": snow,
    "blur": out_of_focus,
    "dirt": dirt,
    "works": with_works,
    "look_alikes": with_look_alikes,
}
WITHOUT = "without"


class Local:
    """The same order gives the same picture."""

    name = NAME
    kinds = frozenset((*EFFECTS, WITHOUT))
    remote = False

    def sure(self, kind: Kind) -> bool:
        """Of all but what was taken out: nobody saw whether something was left."""
        return kind.name != WITHOUT

    def check(self) -> str:
        """Always usable."""
        return "it computes on this machine"

    def make(self, order: Order) -> bytes:
        """A JPEG; Declined where the kind cannot be made of this picture."""
        pixels = read_pixels(order.picture)
        rng = np.random.default_rng((order.seed, *order.kind.name.encode()))
        return write_pixels(_cleared(order, pixels) if order.kind.name == WITHOUT else _made(order, pixels, rng))

    def close(self) -> None:
        """Nothing is open."""


def _cleared(order: Order, pixels: Pixels) -> Pixels:
    if not order.works:
        raise Declined("nobody says where its works are", free=True)
    cleared = without(pixels, order.works)
    if cleared is None:
        raise Declined("its works cannot be taken out without a trace", free=True)
    return cleared


def _made(order: Order, pixels: Pixels, rng: np.random.Generator) -> Pixels:
    if order.kind.name == "night" and float(np.median(luma(pixels))) < DARK:
        raise Declined("it is dark already", free=True)
    made = EFFECTS[order.kind.name](pixels, rng)
    if made is None:
        raise Declined("nothing found a clear place in it", free=True)
    return made
