"""From host memory to a GPU on a stream of its own, ahead of the training; JPEGs are decoded on their way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace

import torch

from streetvision.training.background import in_background
from streetvision.training.batch import RawBatch
from streetvision.training.gpu_decoding import GROUP, decode_into

AHEAD = 2
"""Batches that lie on the GPU before they are needed."""


@dataclass(frozen=True)
class HostBatch:
    """A batch in host memory, some of whose pictures may still be encoded."""

    raw: RawBatch
    jpegs: Mapping[int, bytes]
    """By row: pictures whose canvases are still to be made."""
    read_again: Callable[[int], None]
    """Fills a row by the processor alone, for a JPEG that the GPU refuses."""


def carried(batches: Iterator[HostBatch], device: torch.device) -> Iterator[RawBatch]:
    """The batches on a GPU; the present stream waits for each where it is taken, the host does not."""
    gpu = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    for raw, arrival in in_background(_sent(batches, gpu), AHEAD):
        present = torch.cuda.current_stream(gpu)
        present.wait_event(arrival)
        for one in fields(raw):
            getattr(raw, one.name).record_stream(present)
        yield raw


def _sent(
    batches: Iterable[HostBatch], device: torch.device
) -> Generator[tuple[RawBatch, torch.cuda.Event], None, None]:
    torch.cuda.set_device(device)  # a thread's own; else it would pin memory through the first GPU's context
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    for batch in batches:
        with torch.cuda.stream(stream):
            raw = _on_device(batch, device)
            arrival = stream.record_event()
        yield raw, arrival


def _on_device(batch: HostBatch, device: torch.device) -> RawBatch:
    host = batch.raw.images
    encoded_alone = len(batch.jpegs) == len(host)
    images = torch.empty_like(host, device=device) if encoded_alone else host.to(device, non_blocking=True)
    for rows in _groups(list(batch.jpegs)):
        try:
            decode_into(images, rows, [batch.jpegs[row] for row in rows])
        except RuntimeError:
            for row in rows:
                batch.read_again(row)
                images[row].copy_(host[row], non_blocking=True)
    rest = replace(batch.raw, images=batch.raw.labels).to(device)
    return replace(rest, images=images)


def _groups(rows: list[int]) -> list[list[int]]:
    return [rows[start : start + GROUP] for start in range(0, len(rows), GROUP)]
