"""The variations of one kind as a source: each kind is kept or dropped by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streetvision.sources.made import MadePictures
from streetvision.sources.source import Amount, Item, Unusable


class OfKind:
    """A folder of variations, seen through one kind."""

    grows = True

    def __init__(self, folder: Path, kind: str) -> None:
        self._made, self._kind = MadePictures(folder), kind
        self.name = f"{self._made.name}#{kind}"

    def amount(self, after: str | None = None) -> Amount:
        """Of all kinds: as many are gone through."""
        return self._made.amount(after)

    def pictures(self, after: str | None = None) -> Iterator[Item]:
        """Those of the kind, in the order of their file names."""
        for item in self._made.pictures(after):
            if isinstance(item, Unusable) or item.tags.get("kind") == self._kind:
                yield item
