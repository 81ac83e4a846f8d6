"""The seam between whoever has labelled pictures and the datasets that keep them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from streetvision.errors import OperatorError

HUMAN = "human"
"""`labelled_by` of a label that a person gave: no other label of the same picture stands beside it."""
UNKNOWN_LICENCE = "unknown"
"""Of pictures whose source names none: nobody may pass these on."""


class SourceError(OperatorError):
    """A source or dataset cannot be read: one sentence that says why and what to do."""


@dataclass(frozen=True, slots=True)
class SourcePicture:
    """One labelled picture as its source gives it; nothing of it has been decoded or checked yet."""

    key: str
    """Unique within the source and stable between readings of it: a path, a row's number."""
    data: bytes
    """Encoded, as it came."""
    label: bool
    """Whether roadwork is in view."""
    group: str
    """Pictures of one group, such as a drive or a place, never stand on both sides of a split."""
    licence: str
    url: str = ""
    labelled_by: str = HUMAN
    """`human`, or the name of the oracle or generator whose word the label is."""
    trust: float = 1.0
    """Weight in the loss, in (0, 1]."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Whatever else the source says of it; judging reports by them apart."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something of the source that gives no picture: counted and reported, never trained on."""

    key: str
    reason: str
    """A clause, such as `the file ends too early`."""


Item = SourcePicture | Unusable
"""What a source gives, one at a time."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is to read, in whichever unit the source knows beforehand."""

    count: int
    unit: Literal["pictures", "bytes"] = "pictures"


class Source(Protocol):
    """Where labelled pictures come from. One file a source."""

    @property
    def name(self) -> str:
        """As an operator writes it and a card cites it, such as `hub:natix-network-org/roadwork`."""
        ...

    @property
    def grows(self) -> bool:
        """Whether what was read to its end may hold more later, before its last key too: a folder may, a commit not."""
        ...

    def amount(self, after: str | None = None) -> Amount:
        """How much `pictures` will go through, about; raises SourceError as it does."""
        ...

    def pictures(self, after: str | None = None) -> Iterator[Item]:
        """All that it has in a stable order, or what follows the key `after`, so that an interrupted reading goes on.

        Raises SourceError with one sentence and a remedy when the source cannot be read at all.
        """
        ...
