"""What the log says of itself: a snapshot for `doctor` and the status page, counters for Prometheus."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge


@dataclass(frozen=True, slots=True)
class LogHealth:
    """Counts since the miner started; dropped ones by cause (trouble.CAUSES, and 'overload')."""

    rows_written: int
    images_written: int
    rows_dropped: Mapping[str, int]
    images_dropped: Mapping[str, int]
    images_evicted: int
    queued: int
    """Requests waiting to be written."""
    queued_bytes: int
    stored_bytes: int
    """Of image files on disk."""
    giving_way: bool
    """Whether serving has kept the processor so busy for so long that the log takes samples only."""
    degraded: str | None
    """Why nothing can be written now, as one of trouble.CAUSES; None when all is well."""


class LogMetrics:
    """The same on a registry; all names start with `streetvision_log_`. Only the writer's thread counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rows = Counter("streetvision_log_rows", "Requests written to the log", registry=registry)
        self._images = Counter("streetvision_log_images", "Image files written", registry=registry)
        self._evicted = Counter("streetvision_log_images_evicted", "Image files removed for space", registry=registry)
        self._rows_dropped = Counter(
            "streetvision_log_rows_dropped", "Requests that were not logged", ["cause"], registry=registry
        )
        self._images_dropped = Counter(
            "streetvision_log_images_dropped", "Images that were not kept", ["cause"], registry=registry
        )
        self.degraded = Gauge("streetvision_log_degraded", "1 while the log cannot be written", registry=registry)
        self._registry = registry
        self.tally: Tally[str] = Tally()
        self.rows_dropped: Tally[str] = Tally()
        self.images_dropped: Tally[str] = Tally()

    def watch(self, queued: Callable[[], float], stored_bytes: Callable[[], float]) -> None:
        """Show what is waiting and what is kept, as read at scraping."""
        gauge = Gauge("streetvision_log_queued", "Requests waiting to be written", registry=self._registry)
        gauge.set_function(queued)
        kept = Gauge("streetvision_log_image_bytes", "Bytes of image files kept", registry=self._registry)
        kept.set_function(stored_bytes)

    def written(self, rows: int, images: int) -> None:
        """Count a committed batch."""
        self._rows.inc(rows)
        self._images.inc(images)
        self.tally.update(rows=rows, images=images)

    def evicted(self, images: int) -> None:
        """Count images that made room for others."""
        self._evicted.inc(images)
        self.tally.update(evicted=images)

    def losses(self) -> str:
        """`12 requests, 40 images`."""
        return f"{self.rows_dropped.total()} requests, {self.images_dropped.total()} images"

    def dropped(self, cause: str, *, rows: int = 0, images: int = 0) -> None:
        """Count what is lost."""
        if rows:
            self._rows_dropped.labels(cause).inc(rows)
            self.rows_dropped[cause] += rows
        if images:
            self._images_dropped.labels(cause).inc(images)
            self.images_dropped[cause] += images
