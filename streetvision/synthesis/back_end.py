"""The seam between whoever wants variations and the back end that makes them. One file each in back_ends/."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from streetvision.errors import OperatorError
from streetvision.sources.works_tag import Box
from streetvision.synthesis.kinds import Kind


@dataclass(frozen=True, slots=True)
class Order:
    """What one variation is made from."""

    kind: Kind
    picture: bytes
    """The parent as a JPEG of at most pixels.LONGEST on its longer side."""
    seed: int
    """In [0, 2**31)."""
    works: Sequence[Box] = ()
    """Where the parent's works are, all of them; empty where nobody says."""


class BackEndError(OperatorError):
    """The back end cannot be used now: one sentence that says why and what to do. Nothing more is sent."""


class NotSent(BackEndError):
    """The same, and surely nothing was done that costs money: no connection, a refused key."""


class Declined(Exception):
    """Of this order nothing came, others may be made; the text is a clause."""

    def __init__(self, why: str, *, free: bool = False) -> None:
        super().__init__(why)
        self.free = free
        """Whether it surely cost nothing."""


class BackEnd(Protocol):
    """Makes variations."""

    @property
    def name(self) -> str:
        """With its version or model, as the record of each variation has it."""
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """Names of the kinds that it can make."""
        ...

    @property
    def remote(self) -> bool:
        """Whether pictures leave this machine."""
        ...

    def sure(self, kind: Kind) -> bool:
        """Whether a variation surely has the label that its kind says, so that nobody need look at it again."""
        ...

    def check(self) -> str:
        """Ask whether it can be used, as a clause for people; spends nothing. Raises OperatorError."""
        ...

    def make(self, order: Order) -> bytes:
        """An encoded picture, not to be trusted; raises Declined or BackEndError."""
        ...

    def close(self) -> None:
        """Let connections go."""
        ...
