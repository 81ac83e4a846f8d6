"""Which lane answers an image: an immutable route, replaced whole, so that a request sees one state of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from streetvision.engine.lanes import Lane
from streetvision.engine.types import Role

_BITS = 64
_DIGITS = _BITS // 4


def falls_under(key: str, share: float, *, part: int = 0) -> bool:
    """Whether an image, by the sha256 of its bytes in hexadecimal, belongs to a share of all images from 0 to 1.

    The same image always gives the same answer. `part` 0 to 3 chooses other digits, so that two shares are independent.
    """
    digits = key[part * _DIGITS : (part + 1) * _DIGITS]
    return int(digits, 16) < share * float(1 << _BITS)


@dataclass(frozen=True, slots=True)
class Route:
    """The lanes by their roles. The shares of canary and shadow are drawn independently of each other."""

    active: Lane
    canary: Lane | None = None
    canary_share: float = 0.0
    shadow: Lane | None = None
    shadow_share: float = 0.0

    def choose(self, key: str) -> Lane:
        """The lane that answers the image of this key."""
        if self.canary is not None and falls_under(key, self.canary_share):
            return self.canary
        return self.active

    def shadow_for(self, key: str) -> Lane | None:
        """The lane that looks at the image of this key after the reply, if one does."""
        if self.shadow is not None and falls_under(key, self.shadow_share, part=1):
            return self.shadow
        return None

    def role(self, lane: Lane) -> Role:
        """What an answering lane is here."""
        return Role.CANARY if lane is self.canary else Role.ACTIVE

    @contextmanager
    def held(self) -> Iterator[Route]:
        """Keep the lanes that may answer from being taken down meanwhile."""
        with ExitStack() as stack:
            for lane in filter(None, (self.active, self.canary)):
                stack.enter_context(lane.held())
            yield self

    def with_active(self, lane: Lane) -> Route:
        """The same route with another active lane, which loses any other role."""
        return replace(self.without(lane), active=lane)

    def with_canary(self, lane: Lane, share: float) -> Route:
        """The same route with this canary, which is no shadow any more."""
        return replace(self.without(lane), canary=lane, canary_share=share)

    def with_shadow(self, lane: Lane, share: float) -> Route:
        """The same route with this shadow, which is no canary any more."""
        return replace(self.without(lane), shadow=lane, shadow_share=share)

    def without(self, lane: Lane | None) -> Route:
        """The same route in which this lane is neither canary nor shadow."""
        route = self
        if lane is not None and lane is self.canary:
            route = replace(route, canary=None, canary_share=0.0)
        if lane is not None and lane is self.shadow:
            route = replace(route, shadow=None, shadow_share=0.0)
        return route
