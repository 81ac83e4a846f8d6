"""An engine whose lane has a backend: whatever that does, the embedded model of the same version answers in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scripted_transport import Mood, ScriptedTransport

from streetvision.engine.engine import Engine
from streetvision.engine.remote import RemoteEnd, RemoteView
from streetvision.engine.remote_policy import BreakerState, RemotePolicy
from streetvision.engine.transport import ModelPin, RemoteFailure, RemoteTrouble
from streetvision.engine.types import EngineClosed, Overloaded, Prediction, Runner

from .gated_runner import SIDE, GatedRunner, ask, grey_logits, running
from .waiting import until

QUICK = RemotePolicy(least_patience=0.03, most_patience=0.2, first_pause=0.01, longest_pause=0.05, jitter=0.0)
PIN = ModelPin("fake-1", "ab" * 32)


@asynccontextmanager
async def behind(
    backend: ScriptedTransport, runner: GatedRunner | None = None, policy: RemotePolicy = QUICK, **options: Any
) -> AsyncIterator[Engine]:
    """An engine whose breaker is closed, as far as the backend lets it."""

    def end(_: Runner) -> RemoteEnd:
        return RemoteEnd(PIN, backend, policy)

    async with running(runner or GatedRunner(), remote=end, **options) as engine:
        if backend.mood is Mood.WELL:
            await until(lambda: view(engine).state is BreakerState.CLOSED)
            backend.batches.clear()
        yield engine


def view(engine: Engine) -> RemoteView:
    seen = engine.lanes[0].backend
    assert seen is not None
    return seen


def served(answers: Sequence[Prediction]) -> set[str]:
    return {answer.served_by for answer in answers}


@pytest.fixture
def backend() -> ScriptedTransport:
    return ScriptedTransport(grey_logits)


async def test_the_backend_answers_and_the_answer_says_so(backend: ScriptedTransport) -> None:
    runner = GatedRunner()
    async with behind(backend, runner) as engine:
        answer = await ask(engine, 148, priority=3.0)
        assert engine.stats().served == {"scripted": 1}
    assert (answer.served_by, answer.model_version, answer.batch_size) == ("scripted", "fake-1", 1)
    assert answer.logit == pytest.approx(2.0)
    assert answer.embedding.tolist() == [2.0] * 4
    assert runner.batches == []
    (batch,) = backend.batches
    assert (batch.model, batch.images.shape, batch.priorities) == (PIN, (1, SIDE, SIDE, 3), (3.0,))
    assert 9.0 < batch.seconds[0] <= 10.0


async def test_the_pictures_hash_travels_where_it_is_known(backend: ScriptedTransport) -> None:
    async with behind(backend) as engine:
        engine.add_listener(lambda _: None)
        await ask(engine)
    assert len(backend.batches[0].keys[0]) == 64


async def test_several_batches_are_on_their_way_and_what_waits_meanwhile_travels_together(
    backend: ScriptedTransport,
) -> None:
    backend.seconds = 0.02
    async with behind(backend, policy=replace(QUICK, in_flight=2, least_patience=5.0, most_patience=5.0)) as engine:
        answers = await asyncio.gather(*(ask(engine, grey) for grey in range(100, 140)))
    assert served(answers) == {"scripted"}
    assert [answer.logit for answer in answers] == pytest.approx([(grey - 128) / 10 for grey in range(100, 140)])
    sizes = [len(batch) for batch in backend.batches]
    assert sum(sizes) == 40
    assert max(sizes) > 1


async def test_while_nobody_knows_the_backend_the_embedded_model_answers(backend: ScriptedTransport) -> None:
    backend.mood = Mood.STALLS
    async with behind(backend) as engine:
        assert (await ask(engine, 148)).served_by == "embedded"
        assert view(engine).state is BreakerState.HALF_OPEN


@pytest.mark.parametrize(
    ("mood", "trouble"),
    [
        (Mood.DEAD, RemoteTrouble.UNREACHABLE),
        (Mood.NAN, RemoteTrouble.INVALID),
        (Mood.SHORT, RemoteTrouble.INVALID),
        (Mood.OTHER, RemoteTrouble.OTHER_WEIGHTS),
    ],
)
async def test_what_fails_is_answered_here_then_given_up_then_found_again(
    backend: ScriptedTransport, mood: Mood, trouble: RemoteTrouble
) -> None:
    async with behind(backend) as engine:
        backend.mood = mood
        answers = [await ask(engine, 148) for _ in range(QUICK.in_a_row)]
        assert served(answers) == {"embedded"}
        assert {answer.logit for answer in answers} == {2.0}
        seen = view(engine)
        assert (seen.state is BreakerState.CLOSED, seen.trouble) == (False, trouble)
        assert engine.stats().taken_over["failed"] == QUICK.in_a_row
        sent = sum(batch.seconds[0] < 20 for batch in backend.batches)
        assert (await ask(engine)).served_by == "embedded"
        assert sum(batch.seconds[0] < 20 for batch in backend.batches) == sent
        backend.mood = Mood.WELL
        await until(lambda: view(engine).state is BreakerState.CLOSED)
        assert (await ask(engine)).served_by == "scripted"
        assert view(engine).trouble is None


async def test_a_stall_is_noticed_long_before_the_deadline(backend: ScriptedTransport) -> None:
    async with behind(backend) as engine:
        backend.mood = Mood.STALLS
        async with asyncio.timeout(3):
            answers = await asyncio.gather(*(ask(engine, 148, seconds=9.0) for _ in range(20)))
        assert served(answers) == {"embedded"}
        assert set(engine.stats().remote_failures) == {"late"}
        await until(lambda: backend.cancelled > 0)


async def test_a_late_answer_is_still_welcome(backend: ScriptedTransport) -> None:
    runner = GatedRunner()
    async with behind(backend, runner) as engine:
        runner.gate.clear()
        backend.seconds = 0.1
        assert (await ask(engine)).served_by == "scripted"
        assert engine.stats().taken_over == {"late": 1}


async def test_a_short_deadline_is_not_risked(backend: ScriptedTransport) -> None:
    async with behind(backend) as engine:
        backend.batches.clear()
        assert (await ask(engine, seconds=0.05)).served_by == "embedded"
        assert backend.batches == []


async def test_the_embedded_model_begins_before_its_own_time_runs_out(backend: ScriptedTransport) -> None:
    patient = replace(QUICK, least_patience=30.0, most_patience=30.0)
    async with behind(backend, policy=patient) as engine:
        backend.mood = Mood.STALLS
        answer = await ask(engine, 148, seconds=0.5)
        assert answer.served_by == "embedded"
        assert engine.stats().taken_over == {"deadline": 1}
        assert engine.stats().remote_failures == {"late": 1}


async def test_without_the_backend_too_much_load_is_refused_at_once(backend: ScriptedTransport) -> None:
    runner = GatedRunner()
    async with behind(backend, runner, queue_size=4) as engine:
        runner.gate.clear()
        backend.mood = Mood.STALLS
        asked = [asyncio.create_task(ask(engine)) for _ in range(6)]
        await until(lambda: sum(task.done() for task in asked) == 2)
        assert {type(task.exception()) for task in asked if task.done()} == {Overloaded}
        runner.gate.set()
        await asyncio.gather(*asked, return_exceptions=True)


async def test_too_much_load_there_does_not_end_the_backend(backend: ScriptedTransport) -> None:
    async with behind(backend) as engine:
        backend.mood, backend.failure = Mood.DEAD, RemoteFailure(RemoteTrouble.OVERLOADED, "its queue is full")
        answers = [await ask(engine) for _ in range(2 * QUICK.in_a_row)]
        assert served(answers) == {"embedded"}
        assert view(engine).state is BreakerState.CLOSED


async def test_while_others_are_answered_lateness_is_overload_and_no_end(backend: ScriptedTransport) -> None:
    runner = GatedRunner()
    async with behind(backend, runner, policy=replace(QUICK, least_patience=0.1, most_patience=0.1)) as engine:
        runner.gate.clear()
        backend.seconds = 0.15
        first = asyncio.create_task(ask(engine))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(ask(engine))  # late at 0.2, when the first one has been answered since it left
        answers = await asyncio.gather(first, second)
        assert served(answers) == {"scripted"}
        assert engine.stats().remote_failures == {"late": 1, "overloaded": 1}
        assert view(engine).state is BreakerState.CLOSED


async def test_what_cannot_be_in_time_there_is_not_sent(backend: ScriptedTransport) -> None:
    patient = replace(QUICK, in_flight=1, least_patience=5.0, most_patience=5.0)
    async with behind(backend, policy=patient) as engine:
        backend.seconds = 0.4
        await ask(engine)  # so long do answers take
        sent = len(backend.batches)
        first = asyncio.create_task(ask(engine))
        await until(lambda: len(backend.batches) == sent + 1)
        second = asyncio.create_task(ask(engine, seconds=0.75))  # in time if it could leave at once
        answers = await asyncio.gather(first, second)
        assert [answer.served_by for answer in answers] == ["scripted", "embedded"]
        assert len(backend.batches) == sent + 1


async def test_a_caller_who_goes_away_takes_the_batch_along(backend: ScriptedTransport) -> None:
    backend.seconds = 0.0
    async with behind(backend, policy=replace(QUICK, least_patience=5.0, most_patience=5.0)) as engine:
        backend.seconds = 5.0
        task = asyncio.create_task(ask(engine))
        await until(lambda: len(backend.batches) > 0)
        task.cancel()
        await until(lambda: backend.cancelled == 1)
        assert engine.stats().remote_failures == {}


async def test_a_cold_backend_is_asked_once_more(backend: ScriptedTransport) -> None:
    cold = replace(QUICK, most_patience=0.15)
    backend.seconds = 0.2

    def warm(_: Any) -> NDArray[np.float32]:
        backend.seconds = 0.0
        return np.zeros(1, np.float32)

    backend.forward = warm
    async with behind(backend, policy=cold) as engine:
        assert view(engine).state is BreakerState.CLOSED


async def test_a_probe_that_is_lost_does_not_hold_up_the_next(backend: ScriptedTransport) -> None:
    backend.mood = Mood.STALLS
    async with behind(backend) as engine:
        await until(lambda: len(backend.batches) >= 2)
        backend.mood = Mood.WELL
        await until(lambda: view(engine).state is BreakerState.CLOSED)
        await until(lambda: backend.cancelled >= 2)


async def test_closing_fails_what_waits(backend: ScriptedTransport) -> None:
    async with behind(backend, policy=replace(QUICK, least_patience=5.0, most_patience=5.0)) as engine:
        backend.seconds = 5.0
        task = asyncio.create_task(ask(engine))
        await until(lambda: len(backend.batches) > 0)
        await engine.close()
        with pytest.raises(EngineClosed):
            await task


async def test_each_version_has_a_pin_of_its_own(backend: ScriptedTransport) -> None:
    """Canary, swap and rollback need nothing more: a lane asks for its own weights, whoever answers beside it."""

    def end(runner: Runner) -> RemoteEnd:
        return RemoteEnd(ModelPin(runner.version, runner.version * 2), backend, QUICK)

    async with running(GatedRunner(), remote=end) as engine:
        second = GatedRunner()
        second.version = "fake-2"
        former = engine.route.active
        lane = await engine.prepare(lambda: second)
        await until(_closed_in(engine))
        backend.batches.clear()
        engine.canary(lane, 1.0)
        assert (await ask(engine)).model_version == "fake-2"
        engine.canary(None)
        engine.activate(lane)
        assert (await ask(engine)).model_version == "fake-2"
        engine.activate(former)
        assert (await ask(engine)).model_version == "fake-1"
    assert [batch.model.fingerprint for batch in backend.batches] == ["fake-2fake-2"] * 2 + ["fake-1fake-1"]


def _closed_in(engine: Engine) -> Callable[[], bool]:
    return lambda: all(lane.backend and lane.backend.state is BreakerState.CLOSED for lane in engine.lanes)
