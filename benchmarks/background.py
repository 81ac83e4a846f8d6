"""A training step in the process that serves: what `partition.py` runs beside serving. Measures nothing by itself."""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable

import torch

from streetvision.models.network import StreetVisionNet
from streetvision.training.batch import Batch
from streetvision.training.bundled_loss import loss_of
from streetvision.training.bundled_settings import TrainSettings
from streetvision.training.learner import TrainingNet

BATCH = 32
SETTINGS = TrainSettings(muon=False)
AHEAD = 2
"""Steps that are queued on the device at once, so that it need not wait for Python between two."""


class TrainingStep:
    """Forward, backward, clipping and AdamW as `streetvision.training` does them, in bfloat16, over and over one batch.

    Belongs to `stream`: its graph's kernels run on that stream's multiprocessors, wherever the graph is launched.
    """

    def __init__(self, net: StreetVisionNet, stream: torch.cuda.Stream) -> None:
        self.stream = stream
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            self._learner = TrainingNet(copy.deepcopy(net)).cuda().train()
            self._optimizer = torch.optim.AdamW(
                self._learner.parameters(), lr=1e-4, betas=(0.9, 0.98), fused=True, capturable=True
            )
            self._batch = _batch(net.input_size, (net.input_size // 16) ** 2)
            for _ in range(3):
                self.run()
        torch.cuda.synchronize()

    def run(self) -> None:
        """Launch one step on the current stream, kernel by kernel."""
        # Autocast's cache of weights must not outlive a capture.
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            logits, patches, _ = self._learner(self._batch.pixels)
        loss = loss_of(logits, patches, self._batch, SETTINGS)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        torch.nn.utils.clip_grad_norm_(self._learner.parameters(), 1.0)
        self._optimizer.step()

    def captured(self) -> Callable[[], None]:
        """The whole step as one launch: almost no Python, so almost none of Python's lock."""
        graph = torch.cuda.CUDAGraph()
        self._optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, stream=self.stream):
            self.run()
        torch.cuda.synchronize()

        def replay() -> None:
            # Its weights must live as long as the graph, which knows their addresses alone.
            assert self._learner is not None
            graph.replay()

        return replay


class Training(threading.Thread):
    """Steps one after the other until `stop`, in a thread of their own."""

    def __init__(self, step: Callable[[], None], stream: torch.cuda.Stream) -> None:
        super().__init__(daemon=True)
        self._step, self._stream, self._stopping = step, stream, threading.Event()
        self._started_at = self._ended_at = 0.0
        self.steps = 0
        self.problem: str | None = None

    def run(self) -> None:
        """Train, a few steps ahead of the device."""
        queued: deque[torch.cuda.Event] = deque()
        self._started_at = time.perf_counter()
        try:
            with torch.cuda.stream(self._stream):
                while not self._stopping.is_set():
                    self._step()
                    done: torch.cuda.Event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # torch's gap
                    done.record()
                    queued.append(done)
                    if len(queued) > AHEAD:
                        self._finish(queued)
                while queued:
                    self._finish(queued)
        except RuntimeError as error:
            self.problem = str(error).partition("\n")[0]
        self._ended_at = time.perf_counter()

    def begin(self) -> None:
        """Start, and return once the device is at work."""
        self.start()
        while self.steps < AHEAD and self.is_alive():
            time.sleep(0.001)

    def stop(self) -> tuple[int, float]:
        """Finish what is queued; returns the steps made and the seconds they took. Raises RuntimeError if it failed."""
        self._stopping.set()
        self.join()
        if self.problem is not None:
            raise RuntimeError(f"training failed: {self.problem}")
        return self.steps, self._ended_at - self._started_at

    def _finish(self, queued: deque[torch.cuda.Event]) -> None:
        queued.popleft().synchronize()
        self.steps += 1


def _batch(side: int, patches: int) -> Batch:
    """Noise with random labels: a step costs the same whatever it sees."""
    chance = torch.Generator("cuda").manual_seed(0)
    return Batch(
        torch.rand((BATCH, 3, side, side), generator=chance, device="cuda") * 255,
        (torch.rand(BATCH, generator=chance, device="cuda") > 0.5).float(),
        torch.ones(BATCH, device="cuda"),
        (torch.rand((BATCH, patches), generator=chance, device="cuda") > 0.9).float(),
    )
