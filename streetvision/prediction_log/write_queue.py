"""The bounded queue between the event loop and the writer. The event loop appends; the writer takes; neither waits."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace

from streetvision.axon.records import RequestRecord


@dataclass(frozen=True, slots=True)
class Pending:
    """A request to be written, with or without its image."""

    record: RequestRecord
    image_bytes: int
    """Of the image as it arrived, there or dropped."""


class WriteQueue:
    """At most `max_rows` requests holding at most `max_bytes` of images. `append` is the event loop's alone."""

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._room = max_rows
        self._queue: deque[RequestRecord | Pending] = deque()
        self._bytes_in = self._bytes_out = 0
        self._taken = self._rows_shed = self._images_shed = 0
        self._counted = (0, 0)

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def held_bytes(self) -> int:
        """Of images waiting."""
        return self._bytes_in - self._bytes_out

    @property
    def arrived(self) -> int:
        """Requests so far, kept or shed."""
        return self._taken + len(self._queue) + self._rows_shed

    @property
    def sampling(self) -> bool:
        """Whether it holds less than it could."""
        return self._room < self._max_rows

    def hold_at_most(self, rows: int | None) -> None:
        """Take only so many at a time, or (None) as many as there is room for. The writer's alone.

        Under a flood even keeping is dear: memory that is not freed at once is cold when it is used again.
        """
        self._room = self._max_rows if rows is None else min(rows, self._max_rows)

    def append(self, record: RequestRecord) -> None:
        """Keep a request for the writer; sheds its image, or all of it, when there is no room."""
        if len(self._queue) >= self._room:
            self._rows_shed += 1
            return
        image = record.image
        if image:
            size = len(image)
            if self._bytes_in - self._bytes_out + size > self._max_bytes:
                self._append_without_image(record, size)
                return
            self._bytes_in += size
        self._queue.append(record)

    def _append_without_image(self, record: RequestRecord, size: int) -> None:
        self._images_shed += 1
        self._queue.append(Pending(replace(record, image=None), size))

    def take(self, limit: int) -> list[Pending]:
        """The oldest requests; the writer's alone. Their images stay in the budget until `release`."""
        taken: list[Pending] = []
        while self._queue and len(taken) < limit:
            item = self._queue.popleft()
            taken.append(item if isinstance(item, Pending) else Pending(item, len(item.image or b"")))
        self._taken += len(taken)
        return taken

    def release(self, taken: list[Pending]) -> None:
        """Give back the room of what was taken, once it is written or lost."""
        self._bytes_out += sum(item.image_bytes for item in taken if item.record.image)

    def shed(self) -> Counter[str]:
        """What was shed since the last call, as 'rows' and 'images'; the writer's alone."""
        now = (self._rows_shed, self._images_shed)
        before, self._counted = self._counted, now
        return Counter(rows=now[0] - before[0], images=now[1] - before[1])
