"""Reading a source into a dataset: every picture is checked once, and what is unusable is counted, not learned from."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from streetvision.engine.types import BadImage
from streetvision.sources.picture import check_picture
from streetvision.sources.source import Item, Source, SourcePicture, Unusable
from streetvision.sources.store import Checked, DatasetStore, Reading

_BATCH, _BATCH_BYTES, _BATCH_S = 64, 64 << 20, 2.0
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
    unusable: dict[str, int] = field(default_factory=dict)
    """By reason."""
    complete: bool = False
    """Whether the source was read to its end."""


Progress = Callable[[AddReport], None]


def add(
    source: Source,
    store: DatasetStore,
    *,
    limit: int | None = None,
    progress: Progress = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> AddReport:
    """Read what the dataset does not have of the source, at most `limit` items; may be interrupted at any time.

    `progress` hears of each batch once it is stored. Raises SourceError.
    """
    report = AddReport(source.name)
    items = _limited(source.pictures(store.after(source)), limit, report)
    reading = store.reading(source.name)
    with ThreadPoolExecutor(_THREADS) as pool:
        intake = _Intake(store, reading, report, progress, pool)
        try:
            for batch in _batches(items, intake.write_if_checked, clock):
                intake.check(batch)
        finally:
            intake.write()
    if report.complete:
        store.finish(reading)
    return report


class _Intake:
    """Checks one batch in threads while the next is read, and writes it as soon as it is known to be checked."""

    def __init__(
        self, store: DatasetStore, reading: Reading, report: AddReport, progress: Progress, pool: ThreadPoolExecutor
    ) -> None:
        self._store, self._reading, self._report, self._progress, self._pool = store, reading, report, progress, pool
        self._items: Sequence[Item] = ()
        self._checks: Sequence[Future[Checked | Unusable]] = ()

    def check(self, items: Sequence[Item]) -> None:
        """Begin with a batch, once the one before is written."""
        self.write()
        digests = list(self._pool.map(_digest, items))
        known = {digest for digest in digests if digest and self._store.has(digest)}
        self._items = items
        self._checks = [
            self._pool.submit(_checked, known, item, digest) for item, digest in zip(items, digests, strict=True)
        ]

    def write_if_checked(self) -> None:
        """Write the batch, unless threads still work on it."""
        if all(check.done() for check in self._checks):
            self.write()

    def write(self) -> None:
        """Write the batch, if there is one, and tell of it."""
        items, checks, self._items, self._checks = self._items, self._checks, (), ()
        if not items:
            return
        checked = [check.result() for check in checks]
        new = self._store.write(self._reading, checked, items[-1].key)
        reasons = Counter(item.reason for item in checked if isinstance(item, Unusable))
        report = self._report
        report.read += len(checked)
        report.new += new
        report.known += len(checked) - reasons.total() - new
        report.bytes += sum(len(item.data) for item in items if isinstance(item, SourcePicture))
        report.unusable = dict((Counter(report.unusable) + reasons).most_common())
        self._progress(report)


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


def _batches(items: Iterable[Item], between: Callable[[], None], clock: Callable[[], float]) -> Iterator[list[Item]]:
    """So many items or bytes at once, or what came within so many seconds; calls `between` after each item."""
    begun = clock()
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        between()
        size += len(item.data) if isinstance(item, SourcePicture) else 0
        if len(batch) == _BATCH or size >= _BATCH_BYTES or clock() >= begun + _BATCH_S:
            yield batch
            batch, size, begun = [], 0, clock()
    if batch:
        yield batch
