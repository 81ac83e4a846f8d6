"""The kinds of variation: what each is called, what a generator is told, and what becomes of the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streetvision.errors import ConfigError

WORKS_STAY = "Keep every sign, cone, barrier, machine and worker exactly where it is, and add none."


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of variation."""

    name: str
    prompt: str
    """For back ends that are told in words."""
    parents: bool | None = None
    """Whether it is made of pictures with roadwork (True), without (False), or of all (None)."""
    label: bool | None = None
    """The variation's; None for its parent's."""
    alike: bool = False
    """Whether it resembles its parent by nature, so that this is no reason to drop it."""

    def fits(self, label: bool) -> bool:
        """Whether it can be made of a picture with that label."""
        return self.parents in (None, label)

    def label_of(self, parent: bool) -> bool:
        """The variation's label."""
        return parent if self.label is None else self.label


def _same_street(how: str) -> str:
    return f"The same street photographed from the same place {how}. {WORKS_STAY}"


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("night", _same_street("at night, lit by headlights and street lamps")),
        Kind("rain", _same_street("in heavy rain, with a wet and reflecting road")),
        Kind("fog", _same_street("in dense fog")),
        Kind("snow", _same_street("in winter, with snow on the ground and snow falling")),
        Kind("blur", _same_street("by a shaking camera, slightly blurred"), alike=True),
        Kind("dirt", _same_street("through a dirty windscreen"), alike=True),
        Kind(
            "works",
            "The same street photographed from the same place, with road works: traffic cones, barriers, signs of "
            "works, an excavator, workers in high-visibility clothing.",
            label=True,
            alike=True,
        ),
        Kind(
            "look_alikes",
            "The same street photographed from the same place, with ordinary cars, poles, bins and traffic signs, and "
            "no road works.",
            parents=False,
            label=False,
            alike=True,
        ),
        Kind(
            "without",
            "The same street photographed from the same place after the road works are finished: no cones, no "
            "barriers, no signs of works, no machines, no workers.",
            parents=True,
            label=False,
            alike=True,
        ),
    )
}
"""By name."""


def kinds_named(names: Sequence[str]) -> tuple[Kind, ...]:
    """Each once, in that order; ConfigError for a name that is none."""
    unknown = next((name for name in names if name not in KINDS), None)
    if unknown is not None:
        raise ConfigError(f"{unknown!r:.40} is no kind of variation: write {', '.join(KINDS)}")
    return tuple(KINDS[name] for name in dict.fromkeys(names))
