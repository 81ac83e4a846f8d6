"""Choosing among ways to compute that give the same bits, by time; what was chosen is kept on disk.

Choices are kept in Triton's cache, beside the compiled kernels: they end with it, and the same variable moves both
(TRITON_CACHE_DIR).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
import triton
from streetvision_kernels.capturing import uncollected
from triton.errors import TritonError
from triton.runtime.cache import get_cache_manager

COLD_BYTES = 96 << 20
"""In service weights come from memory, not from the L2 cache: timing cycles through copies of this size in all."""
MAX_COPIES = 16
ROUNDS = 3
FILE = "choice.json"

Choice = TypeVar("Choice")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial(Generic[Choice]):
    """One way to compute, and its name."""

    run: Callable[[int, torch.Tensor], None]
    """Write the answer to a tensor; told which launch of a series it is, from 0."""
    choice: Choice


def copies_of(weight: torch.Tensor) -> list[torch.Tensor]:
    """As many as it takes to find each one cold."""
    return [weight.clone() for _ in range(max(1, min(MAX_COPIES, COLD_BYTES // weight.nbytes)))]


def fastest(
    trials: Sequence[Trial[Choice]], out: torch.Tensor, expected: torch.Tensor | None, *, launches: int
) -> Choice | None:
    """The fastest of the trials whose first rows are `expected`, bit for bit; None if there is none.

    Without `expected` that is what the first gives that can run; those that cannot are left out. `out` stays as it was;
    each trial gets a copy of it.
    """
    timed: list[tuple[float, Choice]] = []
    for trial in trials:
        answer = out.clone()
        try:
            trial.run(0, answer)
        except (RuntimeError, TritonError):
            continue
        expected = answer.clone() if expected is None else expected
        if torch.equal(answer[: len(expected)].view(torch.uint8), expected.view(torch.uint8)):
            timed.append((_round_ms(trial, answer, launches), trial.choice))
    return min(timed, key=lambda pair: pair[0])[1] if timed else None


def recall(question: Sequence[object]) -> Any:  # noqa: ANN401  # what JSON holds
    """What was chosen for this question by any process of this Triton, None if nothing or nothing readable."""
    try:
        path = get_cache_manager(_key(question)).get_file(FILE)
        return None if path is None else json.loads(Path(path).read_text())["choice"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        logger.warning("a remembered choice cannot be read (%s); it is made anew", error)
        return None


def remember(question: Sequence[object], choice: object) -> None:
    """Keep a choice, of what JSON holds, for the processes to come; a full disk only costs them the time."""
    try:
        text = json.dumps({"question": [str(part) for part in question], "choice": choice})
        get_cache_manager(_key(question)).put(text, FILE, binary=False)
    except OSError as error:
        logger.warning("a choice cannot be kept on disk (%s); the next start makes it again", error)


def _key(question: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps([triton.__version__, *map(str, question)]).encode()).hexdigest()


def milliseconds(graph: torch.cuda.CUDAGraph) -> float:
    """Device time of one replay."""
    start: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's gap
    end: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's gap
    start.record()
    graph.replay()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))


def _round_ms(trial: Trial[Choice], out: torch.Tensor, launches: int) -> float:
    """Best milliseconds of one round of launches, by a CUDA graph as in service."""
    stream = torch.cuda.current_stream(out.device)
    if stream == torch.cuda.default_stream(out.device):  # which cannot be captured
        stream = torch.cuda.Stream(out.device)  # type: ignore[no-untyped-call]  # torch's gap
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize(out.device)
    with torch.cuda.stream(stream), uncollected():
        # Other threads may be serving: their allocations must not end this capture.
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            for index in range(launches):
                trial.run(index, out)
        finally:
            graph.capture_end()
    return min(milliseconds(graph) for _ in range(ROUNDS))
