"""The registry as text for Prometheus, rendered on the loop in steps, so that no scrape holds up a request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_latest
from prometheus_client.registry import Collector

FRESH_S = 1.0
"""A rendering serves so long: however many scrape, the work is done once a second at most."""
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_EOF = b"# EOF\n"


class _One(Collector):
    """A single family, where the encoders want a registry."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


class Exposition:
    """Texts of one registry."""

    def __init__(self, registry: CollectorRegistry, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry, self._clock = registry, clock
        self._texts: dict[str, tuple[float, bytes]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def render(self, accept: str) -> tuple[str, bytes]:
        """Content type and text; OpenMetrics where the `Accept` header names it, else Prometheus' own format."""
        kind = OPENMETRICS if "application/openmetrics-text" in accept else PLAIN
        async with self._one_at_a_time:
            made, text = self._texts.get(kind, (float("-inf"), b""))
            if self._clock() - made >= FRESH_S:
                text = await self._text(kind)
                self._texts[kind] = self._clock(), text
        return kind, text

    async def _text(self, kind: str) -> bytes:
        parts = []
        for family in self._registry.collect():
            # When a counter began is a second series for each one, and nobody reads it.
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            if kind == PLAIN:
                parts.append(generate_latest(_One(family)))
            else:
                text: bytes = openmetrics_latest(_One(family))  # type: ignore[no-untyped-call]  # the library's omission
                parts.append(text.removesuffix(_EOF))
            await asyncio.sleep(0)
        return b"".join(parts) + (_EOF if kind == OPENMETRICS else b"")
