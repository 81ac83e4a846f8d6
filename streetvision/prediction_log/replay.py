"""Logged images once more through an engine: the bytes as received, decoded and answered as the miner would now.

Run one image at a time (bucket 1) a model repeats itself bit for bit on the same machine, device and compile setting.
Where the miner had batched a request, sums were taken in another order, and the answer may differ in its last digits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

import torch

from streetvision.engine.decode import DecodeLimits
from streetvision.engine.engine import Engine
from streetvision.engine.ensemble import members_of
from streetvision.engine.offline import predict_offline
from streetvision.engine.types import EngineError, Runner, RunnerFailure, Telling
from streetvision.errors import OperatorError
from streetvision.models.logits import sigmoid
from streetvision.prediction_log.comparison import TOLERANCE, Answered, Replayed, Tally
from streetvision.prediction_log.export import RowsDone, chunks
from streetvision.prediction_log.image_copy import read_image
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter, LogRow
from streetvision.runner.opening import open_runner

AHEAD = 4
"""Images decoded meanwhile, at the least."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """Which rows, and how."""

    filter: LogFilter = field(default_factory=LogFilter)
    limit: int | None = None
    """At most this many rows with an image, the newest; None: all."""
    unanswered: bool = False
    """Also the rows that were refused, where their image was kept."""
    batch: int = 1
    """Images computed at once, at most."""


@dataclass(frozen=True, slots=True)
class _Reply:
    probability: float
    model: str
    views: int
    members: tuple[float, ...]
    router: str | None


@dataclass(frozen=True, slots=True)
class _NoReply:
    reason: str
    by_engine: bool


_Replies = dict[str, _Reply | _NoReply]


def tolerance_on(device: str) -> float:
    """How far apart two answers of one model may lie on `device` (auto, cpu, cuda or cuda:N), whatever the batches."""
    return TOLERANCE[_resolved(device).partition(":")[0]]


def replay_log(
    reader: LogReader,
    checkpoint: Path,
    options: ReplayOptions,
    *,
    device: str,
    compile: bool,
    threads: int,
    precision: str = "default",
    verdicts: Path | None = None,
    runner: str = "torch",
    limits: DecodeLimits | None = None,
    on_answer: Callable[[Answered], None] = lambda _: None,
    progress: RowsDone = lambda _: None,
) -> Replayed:
    """Load the model and answer the chosen rows again; `on_answer` hears of each. Raises OperatorError.

    `compile`, `threads` (0: the runner's choice), `precision`, `runner` and `limits` are the miner's settings, and
    `verdicts` is its folder of judged models: with the same ones answers repeat exactly.
    """
    opened = open_runner(
        checkpoint,
        device=device,
        buckets=sorted({1, options.batch}),
        compile=None if compile else False,
        threads=threads or None,
        precision=precision,
        verdicts=verdicts,
        runner=runner,
    )
    done = Replayed(opened.version, _resolved(device))
    try:
        asyncio.run(run_replay(reader, opened, options, done, limits=limits, on_answer=on_answer, progress=progress))
    except RunnerFailure as error:
        raise OperatorError(f"the model {checkpoint} cannot run on {device}: {error}") from error
    return done


async def run_replay(
    reader: LogReader,
    runner: Runner,
    options: ReplayOptions,
    done: Replayed,
    *,
    limits: DecodeLimits | None = None,
    on_answer: Callable[[Answered], None] = lambda _: None,
    progress: RowsDone = lambda _: None,
) -> None:
    """Warm the runner up and collect the new answers in `done`; raises OperatorError or RunnerFailure."""
    engine = Engine(runner, limits=limits, view_seconds=inf)
    await engine.start()
    done.served_by = tuple(member.served_by for member in members_of(runner) if isinstance(member, Telling))
    try:
        async for answered in replay(reader, engine, options, tally=done.tally, progress=progress):
            done.answers.append(answered)
            on_answer(answered)
    finally:
        await engine.close()


async def replay(
    reader: LogReader,
    engine: Engine,
    options: ReplayOptions,
    *,
    tally: Tally,
    progress: RowsDone = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Answered]:
    """Yield each chosen row with its new answer, in the order of logging; the same bytes are computed once.

    `engine` has started, with the same `clock`. `tally` counts what has no answer; `progress` hears of every row.
    """
    replies: _Replies = {}
    for rows in _chosen(reader, options):
        for some in _parts(rows, max(AHEAD, 2 * options.batch)):
            await _answer(reader, engine, some, replies, clock)
            for row in some:
                if answered := _judge(row, replies, tally):
                    yield answered
            progress(len(some))


def count_chosen(reader: LogReader, options: ReplayOptions) -> int:
    """How many rows `replay` will look at, for a progress bar: at most, where there is a limit."""
    matching = reader.count(_filter(options))
    return matching if options.limit is None else min(matching, options.limit)


def _filter(options: ReplayOptions) -> LogFilter:
    return options.filter if options.unanswered else replace(options.filter, answered=True)


def _chosen(reader: LogReader, options: ReplayOptions) -> Iterator[list[LogRow]]:
    """Rows in the order of logging. The log is never read while the model runs: that would hold up its writer."""
    if options.limit is None:
        yield from chunks(reader, _filter(options))
        return
    newest: list[LogRow] = []
    left = options.limit
    for row in reader.rows(_filter(options), newest_first=True):
        if left == 0:
            break
        newest.append(row)
        left -= row.image == "stored"
    yield newest[::-1]


def _parts(rows: list[LogRow], size: int) -> Iterator[list[LogRow]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


async def _answer(
    reader: LogReader, engine: Engine, rows: list[LogRow], replies: _Replies, clock: Callable[[], float]
) -> None:
    """Compute the images of these rows that are new, all at once."""
    wanted = sorted({row.sha256 for row in rows if row.image == "stored"} - replies.keys())
    jobs = (_predict(engine, reader.image_path(sha256), sha256, clock) for sha256 in wanted)
    replies.update(zip(wanted, await asyncio.gather(*jobs), strict=True))


async def _predict(engine: Engine, path: Path | None, sha256: str, clock: Callable[[], float]) -> _Reply | _NoReply:
    data, problem = await asyncio.to_thread(read_image, path, sha256)
    if problem:
        return _NoReply(problem, by_engine=False)
    try:
        answer = await predict_offline(engine, data, clock=clock)
    except EngineError as error:
        return _NoReply(error.reason, by_engine=True)
    members = tuple(sigmoid(logit) for logit in answer.members[:2])
    return _Reply(answer.probability, answer.model_version, answer.views, members, answer.router)


def _judge(row: LogRow, replies: _Replies, tally: Tally) -> Answered | None:
    reply = replies[row.sha256] if row.image == "stored" else _NoReply(row.image, by_engine=False)
    if isinstance(reply, _NoReply):
        (tally.failed if reply.by_engine else tally.missing)[reply.reason] += 1
        return None
    return Answered(
        id=row.id,
        time=row.time,
        validator=row.validator,
        uid=row.uid,
        sha256=row.sha256,
        old_model=row.model_version,
        old_views=row.views,
        old=row.probability,
        new_model=reply.model,
        new_views=reply.views,
        new=reply.probability,
        old_router=row.router,
        new_router=reply.router,
        old_members=tuple(one for one in (row.first_probability, row.second_probability) if one is not None),
        new_members=reply.members,
        old_served_by=row.served_by,
    )


def _resolved(device: str) -> str:
    """What `auto` means here."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"
