"""From host memory to a GPU on a stream of its own, ahead of the training; JPEGs are decoded on their way."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

import torch

from streetvision.training.background import in_background
from streetvision.training.batch import RawBatch
from streetvision.training.gpu_decoding import GROUP, decode_into

AHEAD = 2
"""Batches that lie on the GPU before they are needed."""


class Rows(Protocol):
    """Rows of a batch in host memory whose JPEGs were left to the GPU."""

    keeps: bool
    """Whether what the GPU makes of them is wanted back."""

    def read_again(self, row: int) -> None:
        """Fill a row by the processor alone, for a JPEG that the GPU refuses."""

    def keep(self, row: int) -> None:
        """Keep what the GPU decoded and the row now holds."""


@dataclass(frozen=True)
class HostBatch:
    """A batch in host memory, some of whose pictures may still be encoded."""

    raw: RawBatch
    jpegs: Mapping[int, bytes]
    """By row: pictures whose canvases are still to be made."""
    rows: Rows


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
    decoded: list[int] = []
    for rows in _groups(list(batch.jpegs)):
        try:
            decode_into(images, rows, [batch.jpegs[row] for row in rows])
        except RuntimeError:
            for row in rows:
                batch.rows.read_again(row)
                images[row].copy_(host[row], non_blocking=True)
        else:
            decoded += rows
    if batch.rows.keeps:
        _bring_back(batch, images, decoded)
    rest = replace(batch.raw, images=batch.raw.labels).to(device)
    return replace(rest, images=images)


def _bring_back(batch: HostBatch, images: torch.Tensor, rows: Sequence[int]) -> None:
    """So that the next epoch need not decode again."""
    for row in rows:
        batch.raw.images[row].copy_(images[row], non_blocking=True)
    torch.cuda.current_stream(images.device).synchronize()
    for row in rows:
        batch.rows.keep(row)


def _groups(rows: list[int]) -> list[list[int]]:
    return [rows[start : start + GROUP] for start in range(0, len(rows), GROUP)]
