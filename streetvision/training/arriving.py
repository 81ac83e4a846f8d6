"""Numbers that a GPU works out, read by the host without a wait."""

from __future__ import annotations

import torch


class Arriving:
    """A tensor on its way to the host. Asked for some steps later it has arrived, and nobody waits."""

    def __init__(self, values: torch.Tensor) -> None:
        self._host = values.detach().to("cpu", non_blocking=True)  # pinned where it comes from a GPU
        self._arrival = torch.cuda.current_stream(values.device).record_event() if values.is_cuda else None

    def values(self) -> list[float]:
        """They, in one dimension; waits until they are there."""
        if self._arrival is not None:
            self._arrival.synchronize()
        return [float(value) for value in self._host.flatten()]
