"""Candidates beside the active model: who answers which image, what listeners hear, and that serving never suffers."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from streetvision.engine import comparisons
from streetvision.engine.engine import Engine
from streetvision.engine.routing import falls_under
from streetvision.engine.types import (
    BadImage,
    DeadlineMissed,
    EngineError,
    ImageArray,
    Outcome,
    Prediction,
    Role,
    RunnerFailure,
    RunnerOutput,
)

from .waiting import until


def photo(number: int, side: int = 24) -> bytes:
    """Different bytes for each number; grey level 100."""
    out = io.BytesIO()
    picture = Image.new("L", (side, side), 100)
    picture.save(out, "JPEG", quality=95, comment=str(number).encode())
    return out.getvalue()


class Model:
    """Answers everything with one logit; may wait, break or answer nonsense."""

    resize = "squash"

    def __init__(self, version: str, logit: float = 1.0, *, side: int = 16) -> None:
        self.version, self.logit, self.input_size = version, logit, side
        self.buckets = (1, 2, 4)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.spoil: Callable[[RunnerOutput], RunnerOutput] = lambda output: output
        self.runs: list[tuple[str, int]] = []

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        return dict.fromkeys(buckets, 0.001)

    def run(self, images: ImageArray) -> RunnerOutput:
        self.runs.append((threading.current_thread().name, len(images)))
        self.entered.set()
        assert self.gate.wait(20)
        assert images.shape[1] == self.input_size
        logits = np.full(len(images), self.logit, np.float32)
        return self.spoil(RunnerOutput(logits, logits[:, None]))


def fail(output: RunnerOutput) -> RunnerOutput:
    raise RunnerFailure("device error")


def not_a_number(output: RunnerOutput) -> RunnerOutput:
    return RunnerOutput(output.logits * np.nan, output.embeddings)


def too_few(output: RunnerOutput) -> RunnerOutput:
    return RunnerOutput(output.logits[:0], output.embeddings)


class Bench:
    """An engine with an active model, a candidate of another input size, and all that listeners heard."""

    def __init__(self, engine: Engine, active: Model, candidate: Model) -> None:
        self.engine, self.active, self.candidate = engine, active, candidate
        self.heard: list[Outcome] = []
        engine.add_listener(self.heard.append)

    async def ask(self, number: int = 0, seconds: float = 10.0) -> Prediction:
        return await self.engine.predict(photo(number), deadline=time.monotonic() + seconds, priority=0.0)

    async def hear(self, count: int) -> list[Outcome]:
        await until(lambda: len(self.heard) >= count)
        await asyncio.sleep(0.01)
        assert len(self.heard) == count
        return self.heard


@asynccontextmanager
async def bench(**options: Any) -> AsyncIterator[Bench]:
    active, candidate = Model("1.0.0", 1.0), Model("2.0.0", -2.0, side=32)
    engine = Engine(active, **options)
    await engine.start()
    try:
        await engine.prepare(lambda: candidate)
        candidate.entered.clear()
        candidate.runs.clear()
        yield Bench(engine, active, candidate)
    finally:
        active.gate.set()
        candidate.gate.set()
        await engine.close()


def key(number: int) -> str:
    return hashlib.sha256(photo(number)).hexdigest()


@given(st.binary(max_size=8), st.floats(0, 1), st.floats(0, 1), st.integers(0, 3))
def test_a_larger_share_keeps_the_images_of_a_smaller_one(data: bytes, low: float, high: float, part: int) -> None:
    digest = hashlib.sha256(data).hexdigest()
    low, high = sorted((low, high))
    assert not falls_under(digest, 0.0, part=part)
    assert falls_under(digest, 1.0, part=part)
    assert falls_under(digest, low, part=part) <= falls_under(digest, high, part=part)


def test_shares_are_what_they_say_and_independent() -> None:
    digests = [hashlib.sha256(str(index).encode()).hexdigest() for index in range(20_000)]
    first = [falls_under(digest, 0.1) for digest in digests]
    second = [falls_under(digest, 0.1, part=1) for digest in digests]
    assert sum(first) == pytest.approx(2000, abs=200)
    assert sum(a and b for a, b in zip(first, second, strict=True)) == pytest.approx(200, abs=80)


async def test_every_request_is_told_even_those_refused() -> None:
    async with bench() as room:
        await room.ask(1)
        with pytest.raises(BadImage):
            await room.engine.predict(b"nothing", deadline=time.monotonic() + 5, priority=0)
        with pytest.raises(DeadlineMissed):
            await room.ask(1, seconds=-1.0)
        good, bad, late = await room.hear(3)
    assert (good.role, good.version, good.image_key, good.error) == (Role.ACTIVE, "1.0.0", key(1), None)
    assert (good.logit, good.batch_size, good.views, good.comparison) == (1.0, 1, 1, False)
    assert good.headroom is not None
    assert 0 < good.headroom < 10
    assert good.inference is not None
    assert 0 < good.inference < good.seconds
    assert (bad.error, bad.probability, bad.batch_size) == ("bad_image", None, 0)
    assert late.error == "deadline"
    assert late.headroom is not None
    assert late.headroom < 0


async def test_a_listener_that_raises_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Outcome) -> None:
        raise ZeroDivisionError

    async with bench() as room:
        room.engine.add_listener(broken)
        room.engine.add_listener(room.heard.append)
        with caplog.at_level(logging.ERROR):
            await room.ask()
            await room.hear(2)
    assert "a listener of outcomes failed" in caplog.text


async def test_a_canary_answers_its_images_and_always_the_same_ones() -> None:
    async with bench() as room:
        lane = room.engine.lanes[1]
        room.engine.canary(lane, 0.3)
        for _ in range(2):
            for number in range(30):
                answer = await room.ask(number)
                assert answer.model_version == ("2.0.0" if falls_under(key(number), 0.3) else "1.0.0")
        mine = sum(falls_under(key(number), 0.3) for number in range(30))
        assert 0 < mine < 30
        await until(lambda: len(room.heard) == 60 + 2 * mine)
        room.engine.canary(None)
        assert {(await room.ask(number)).model_version for number in range(10)} == {"1.0.0"}
        compared = [outcome for outcome in room.heard if outcome.comparison]
        stats = room.engine.stats()
    assert stats.compared == {"canary": 2 * mine}
    for outcome in compared:
        assert (outcome.role, outcome.version, outcome.logit) == (Role.CANARY, "2.0.0", -2.0)
        assert outcome.other is not None
        assert (outcome.other.version, outcome.other.logit, outcome.other.error) == ("1.0.0", 1.0, None)
    served = [outcome for outcome in room.heard[:60] if not outcome.comparison]
    assert all((o.role is Role.CANARY) == falls_under(o.image_key, 0.3) for o in served)


@pytest.mark.parametrize("spoil", [fail, not_a_number, too_few])
async def test_a_canary_that_fails_costs_no_answer(spoil: Callable[[RunnerOutput], RunnerOutput]) -> None:
    async with bench() as room:
        room.engine.canary(room.engine.lanes[1], 1.0)
        room.candidate.spoil = spoil
        answer = await room.ask()
        assert (answer.model_version, answer.logit) == ("1.0.0", 1.0)
        failure, rescue = await room.hear(2)
        stats = room.engine.stats()
    assert (failure.role, failure.version, failure.error, failure.comparison) == (Role.CANARY, "2.0.0", "runner", False)
    assert (rescue.role, rescue.version, rescue.error, rescue.other) == (Role.ACTIVE, "1.0.0", None, None)
    assert (stats.canary_fallbacks, stats.refused, stats.compared) == (1, {}, {})


async def test_a_canary_that_hangs_leaves_time_for_the_active_model() -> None:
    async with bench() as room:
        room.engine.canary(room.engine.lanes[1], 1.0)
        room.candidate.gate.clear()
        answer = await room.ask(seconds=0.6)
        assert answer.model_version == "1.0.0"
        assert (await room.ask(1, seconds=0.6)).model_version == "1.0.0"
        assert [outcome.error for outcome in room.heard[:2]] == ["deadline", None]


async def test_bad_bytes_are_the_callers_fault_not_the_canarys() -> None:
    async with bench() as room:
        room.engine.canary(room.engine.lanes[1], 1.0)
        with pytest.raises(BadImage):
            await room.engine.predict(b"nothing", deadline=time.monotonic() + 5, priority=0)
        assert room.engine.stats().canary_fallbacks == 0
        assert [outcome.error for outcome in await room.hear(1)] == ["bad_image"]


async def test_a_shadow_sees_images_after_the_reply_and_answers_nobody() -> None:
    async with bench() as room:
        room.engine.shadow(room.engine.lanes[1], 1.0)
        for number in range(5):
            assert (await room.ask(number)).model_version == "1.0.0"
        await until(lambda: len(room.heard) == 10)
        seen = [outcome for outcome in room.heard if outcome.comparison]
        stats = room.engine.stats()
    assert [outcome.image_key for outcome in seen] == [key(number) for number in range(5)]
    for outcome in seen:
        assert (outcome.role, outcome.version, outcome.logit, outcome.headroom) == (Role.SHADOW, "2.0.0", -2.0, None)
        assert outcome.other is not None
        assert (outcome.other.version, outcome.other.logit) == ("1.0.0", 1.0)
    assert set(room.candidate.runs) == {("background-0", 1)}
    assert (stats.compared, stats.dropped, stats.answered) == ({"shadow": 5}, {}, 5)


async def test_a_shadow_waits_while_requests_are_in_the_engine() -> None:
    async with bench() as room:
        room.engine.shadow(room.engine.lanes[1], 1.0)
        room.active.gate.clear()
        held = asyncio.create_task(room.ask(0))
        await until(room.active.entered.is_set)
        second = asyncio.create_task(room.ask(1))
        await until(lambda: room.engine.stats().queued == 1)
        await asyncio.sleep(0.02)
        assert room.candidate.runs == []
        room.active.gate.set()
        await asyncio.gather(held, second)
        await until(lambda: len(room.candidate.runs) == 2)


async def test_a_shadow_that_fails_is_told_and_nobody_else_notices() -> None:
    async with bench() as room:
        room.engine.shadow(room.engine.lanes[1], 1.0)
        room.candidate.spoil = not_a_number
        await room.ask()
        _, seen = await room.hear(2)
        assert room.engine.stats().refused == {}
    assert (seen.role, seen.error, seen.probability) == (Role.SHADOW, "runner", None)
    assert seen.other is not None
    assert seen.other.logit == 1.0


async def test_a_shadow_that_hangs_holds_up_neither_serving_nor_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "PATIENCE", 0.1)
    monkeypatch.setattr(comparisons, "MAX_IMAGES", 3)
    async with bench() as room:
        room.engine.shadow(room.engine.lanes[1], 1.0)
        room.candidate.gate.clear()
        for number in range(8):
            await room.ask(number)
        assert room.engine.stats().dropped == {"shadow": 4}
        await until(lambda: len(room.heard) == 12)
        errors = {outcome.error for outcome in room.heard if outcome.comparison}
        assert errors <= {"deadline", "overloaded"}
        monkeypatch.setattr(comparisons, "PATIENCE", 10.0)
        room.candidate.gate.set()
        await room.ask(99)
        await until(lambda: any(o.comparison and o.error is None for o in room.heard))


async def test_the_queue_of_comparisons_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "MAX_BYTES", len(photo(0)) - 1)
    async with bench() as room:
        room.engine.shadow(room.engine.lanes[1], 1.0)
        await room.ask(0)
        assert room.engine.stats().dropped == {"shadow": 1}


async def test_roles_end_when_others_begin() -> None:
    async with bench() as room:
        engine, (first, second) = room.engine, room.engine.lanes
        engine.shadow(second, 0.5)
        engine.canary(second, 0.5)
        assert (engine.route.canary, engine.route.shadow) == (second, None)
        engine.activate(second)
        assert (engine.route.active, engine.route.canary) == (second, None)
        engine.shadow(first, 0.5)
        await engine.retire(first)
        assert engine.route.shadow is None
        for assign in (engine.canary, engine.shadow):
            with pytest.raises(ValueError, match="active lane"):
                assign(second, 0.5)
            for share in (-0.1, 1.1, float("nan")):
                with pytest.raises(ValueError, match="share"):
                    assign(None, share)


async def test_retiring_a_shadow_or_canary_in_use_fails_nobody() -> None:
    async with bench() as room:
        engine, lane = room.engine, room.engine.lanes[1]
        engine.canary(lane, 1.0)
        room.candidate.gate.clear()
        held = asyncio.create_task(room.ask(0))
        await until(room.candidate.entered.is_set)
        retiring = asyncio.create_task(engine.retire(lane))
        await asyncio.sleep(0)
        assert (await room.ask(1)).model_version == "1.0.0"
        room.candidate.gate.set()
        assert (await held).model_version == "2.0.0"
        await retiring
        assert len(engine.lanes) == 1


async def test_a_storm_with_candidates_and_switches_gives_each_caller_one_answer() -> None:
    async with bench() as room:
        engine, (first, second) = room.engine, room.engine.lanes
        room.candidate.spoil = lambda output: fail(output) if len(room.candidate.runs) % 5 == 0 else output
        tasks = []
        for number in range(150):
            tasks.append(asyncio.create_task(room.ask(number)))
            if number % 10 == 0:
                engine.canary(second, 0.5)
            if number % 10 == 5:
                engine.canary(None)
            if number % 30 == 7:
                engine.activate(second)
                engine.shadow(first, 0.5)
            if number % 30 == 9:
                engine.activate(first)
            await asyncio.sleep(0.001)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: engine.stats().running == 0)  # a shadow's pass may outlast the last answer
        failures = [result for result in results if not isinstance(result, Prediction)]
        stats = engine.stats()
    # Only an answer asked of the broken model while it was the active one may fail.
    assert all(isinstance(failure, RunnerFailure) for failure in failures)
    assert sum(isinstance(failure, EngineError) for failure in failures) == sum(stats.refused.values())
    assert (stats.decoding, stats.queued) == (0, 0)
