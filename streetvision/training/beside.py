"""Work on a GPU beside what its present stream has yet to do.

While a step is replayed, the host is done with it and makes the next batch ready: varying pictures moves memory, which
a GPU does beside the matrix products of a step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from streetvision.training.batch import Batch, RawBatch, tensors_of


class SideStream:
    """A stream of its own on one device."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it unannotated

    def run(self, work: Callable[[], Batch], given: RawBatch) -> Batch:
        """What `work` makes of `given`, once that has arrived; the present stream waits for it."""
        present = torch.cuda.current_stream(self._stream.device)
        if given.arrival is None:
            self._stream.wait_stream(present)
        else:
            self._stream.wait_event(given.arrival)
        with torch.cuda.stream(self._stream):
            made = work()
        present.wait_stream(self._stream)
        for tensor in tensors_of(given).values():
            tensor.record_stream(self._stream)
        for tensor in tensors_of(made).values():
            tensor.record_stream(present)
        return made
