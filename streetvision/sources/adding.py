"""Reading a source into a dataset: every picture is checked once, and what is unusable is counted, not learned from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from streetvision.engine.types import BadImage
from streetvision.sources.picture import check_picture
from streetvision.sources.source import Item, Source, SourcePicture, Unusable
from streetvision.sources.store import Checked, DatasetStore, Reading

_BATCH, _BATCH_BYTES = 64, 64 << 20
_THREADS = 4
"""Decoding leaves Python's lock, and the disk waits."""


@dataclass(slots=True)
class AddReport:
    """What became of the items that one reading took."""

    source: str
    read: int = 0
    new: int = 0
    """Pictures whose bytes the dataset did not hold."""
    known: int = 0
    bytes: int = 0
    """Of the pictures that were read."""
    unusable: Counter[str] = field(default_factory=Counter)
    """By reason."""
    complete: bool = False
    """Whether the source was read to its end."""


Progress = Callable[[AddReport], None]


def add(
    source: Source, store: DatasetStore, *, limit: int | None = None, progress: Progress = lambda _: None
) -> AddReport:
    """Read what the dataset does not have of the source, at most `limit` items; may be interrupted at any time.

    `progress` hears of each batch once it is stored. Raises SourceError.
    """
    reading = store.reading(source.name)
    report = AddReport(source.name)
    afresh = reading.complete and source.grows
    items = _limited(source.pictures(None if afresh else reading.last_key), limit, report)
    with ThreadPoolExecutor(_THREADS) as pool:
        for batch in _batches(items):
            _add_batch(batch, store, reading, report, pool)
            progress(report)
    if report.complete:
        store.finish(reading)
    return report


def _add_batch(
    batch: Sequence[Item], store: DatasetStore, reading: Reading, report: AddReport, pool: ThreadPoolExecutor
) -> None:
    digests = list(pool.map(_digest, batch))
    known = {digest for digest in digests if digest and store.has(digest)}
    checked = list(pool.map(partial(_checked, known), batch, digests))
    store.write(reading, checked, batch[-1].key)
    fresh = {item.sha256 for item in checked if isinstance(item, Checked) and item.facts}
    report.read += len(batch)
    report.new += len(fresh)
    report.known += sum(isinstance(item, Checked) for item in checked) - len(fresh)
    report.bytes += sum(len(item.data) for item in batch if isinstance(item, SourcePicture))
    report.unusable.update(item.reason for item in checked if isinstance(item, Unusable))


def _digest(item: Item) -> str:
    return hashlib.sha256(item.data).hexdigest() if isinstance(item, SourcePicture) else ""


def _checked(known: set[str], item: Item, digest: str) -> Checked | Unusable:
    if isinstance(item, Unusable):
        return item
    if digest in known:
        return Checked(item, digest, None)
    try:
        return Checked(item, digest, check_picture(item.data))
    except BadImage as error:
        return Unusable(item.key, str(error))


def _limited(items: Iterator[Item], limit: int | None, report: AddReport) -> Iterator[Item]:
    """The first so many; where the source ends before, the report says that it is complete."""
    for number, item in enumerate(items):
        if number == limit:
            return
        yield item
    report.complete = True


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """So many items, or so many bytes, at once."""
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.data) if isinstance(item, SourcePicture) else 0
        if len(batch) == _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
