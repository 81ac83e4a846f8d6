"""Which pictures of a batch the second member is to be asked about; pure arithmetic on the first member's output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.types import RunnerOutput
from streetvision.models.embedding_distance import KnownEmbeddings
from streetvision.models.router import RouterConfig


class Router:
    """The rules of a router, with what its distances are measured against."""

    def __init__(self, config: RouterConfig, known: KnownEmbeddings | None = None) -> None:
        """Raises ValueError unless `known` is there exactly where there is a rule of distance."""
        if (config.distance is None) != (known is None):
            raise ValueError("a router takes known embeddings if it has a rule of distance, and only then")
        self._config = config
        self._known = known

    def asks(self, output: RunnerOutput) -> NDArray[np.bool_]:
        """For each row of the first member's output [N], whether a rule asks for the second member."""
        asked = np.zeros(len(output.logits), np.bool_)
        if self._config.band is not None:
            asked |= np.abs(output.logits) <= self._config.band
        if self._known is not None and self._config.distance is not None:
            asked |= self._known.distances(output.embeddings) >= self._config.distance
        return asked
