"""The way to Modal: what a call becomes, the spending cap, and an engine behind containers that start cold and fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from fake_modal import FakeModalApp

from streetvision.cost.prices import read_prices
from streetvision.engine.engine import Engine
from streetvision.engine.remote import RemoteEnd
from streetvision.engine.remote_policy import BreakerState, RemotePolicy
from streetvision.engine.remote_wire import answer_parts, batch_of, failure_head
from streetvision.engine.transport import ModelPin, RemoteAnswer, RemoteBatch, RemoteFailure, RemoteTrouble
from streetvision.miner.from_settings import backend_transport
from streetvision.serverless.spending import Bill, SpendingCap
from streetvision.serverless.transport import ModalTransport, cap_of, open_modal
from streetvision.settings.backend import BackendSettings
from streetvision.settings.modal import ModalSettings
from streetvision.settings.settings import Settings

from ..engine.gated_runner import SIDE, GatedRunner, ask, grey_logits, running
from ..engine.waiting import until

PIN = ModelPin("fake-1", "ab" * 32)
SCALE = 0.01
"""A cold start takes 0.14 to 0.18 s."""
BATCH = RemoteBatch(PIN, np.full((2, SIDE, SIDE, 3), 148, np.uint8), (5.0, 5.0), (0.0, 0.0), ("", ""))


def container(head: dict[str, Any], block: bytes) -> tuple[dict[str, Any], bytes]:
    """What the app's container answers."""
    batch = batch_of(head, block)
    logits = grey_logits(batch.images)
    return answer_parts(RemoteAnswer(batch.model, logits, np.repeat(logits[:, None], 4, axis=1), 0.001))


def cap(month_usd: float = 50.0, worst_per_s: float = 0.0) -> SpendingCap:
    return SpendingCap(month_usd, worst_per_s, lambda: datetime.now(UTC))


def transport(app: FakeModalApp, bound: SpendingCap | None = None) -> ModalTransport:
    return ModalTransport(lambda: app, bound or cap())


async def test_a_batch_is_one_call_and_its_answer_comes_back() -> None:
    app = FakeModalApp(container, SCALE)
    way = transport(app)
    answer = await way.send(BATCH)
    assert answer.logits.tolist() == [2.0, 2.0]
    assert (answer.model, way.name, app.calls) == (PIN, "modal", 1)
    await way.close()


async def test_a_batch_too_large_for_a_call_goes_in_several() -> None:
    greys = np.arange(100, 130, dtype=np.uint8)
    images = np.broadcast_to(greys[:, None, None, None], (30, 224, 224, 3))
    app = FakeModalApp(container, SCALE)
    answer = await transport(app).send(RemoteBatch(PIN, images, (5.0,) * 30, (0.0,) * 30, ("",) * 30))
    assert app.calls == 3
    assert np.allclose(answer.logits, (greys.astype(float) - 128) / 10)
    assert (answer.model, len(answer.embeddings), answer.refused) == (PIN, 30, ())


async def test_an_answer_to_another_number_of_pictures_is_invalid() -> None:
    def short(head: dict[str, Any], block: bytes) -> tuple[dict[str, Any], bytes]:
        return answer_parts(RemoteAnswer(PIN, np.zeros(1, np.float32), np.zeros((1, 4), np.float32), 0.0))

    with pytest.raises(RemoteFailure, match="2 pictures got 1 answers") as raised:
        await transport(FakeModalApp(short, SCALE)).send(BATCH)
    assert raised.value.trouble is RemoteTrouble.INVALID


async def test_the_app_is_found_once_and_not_before_the_first_call() -> None:
    found = list[str]()
    app = FakeModalApp(container, SCALE)
    way = ModalTransport(lambda: found.append("found") or app, cap())  # type: ignore[func-returns-value]
    assert found == []
    await way.send(BATCH)
    await way.send(BATCH)
    assert found == ["found"]
    await way.close()


async def test_whatever_modal_raises_is_a_failure_with_its_trouble() -> None:
    app = FakeModalApp(container, SCALE, failing=1.0, error=lambda: TimeoutError("no container"))
    with pytest.raises(RemoteFailure, match="no container") as told:
        await transport(app).send(BATCH)
    assert told.value.trouble is RemoteTrouble.LATE


async def test_a_trouble_that_a_container_tells_is_raised() -> None:
    told = failure_head(RemoteFailure(RemoteTrouble.NO_MEMORY, "the model does not fit into the memory there"))
    with pytest.raises(RemoteFailure, match="does not fit") as raised:
        await transport(FakeModalApp(lambda *_: (told, b""), SCALE)).send(BATCH)
    assert raised.value.trouble is RemoteTrouble.NO_MEMORY


@pytest.mark.parametrize("said", [None, "text", {}, (1, 2), ({},), ({}, "text"), ({}, b"", 3), ({"protocol": 9}, b"")])
async def test_what_is_no_answer_is_skew(said: Any) -> None:
    with pytest.raises(RemoteFailure) as raised:
        await transport(FakeModalApp(lambda *_: said, SCALE)).send(BATCH)
    assert raised.value.trouble is RemoteTrouble.SKEW


async def test_an_app_that_cannot_be_opened_is_a_failure() -> None:
    def opening() -> FakeModalApp:
        raise ImportError("No module named 'modal'")

    with pytest.raises(RemoteFailure) as told:
        await ModalTransport(opening, cap()).send(BATCH)
    assert told.value.trouble is RemoteTrouble.MISSING


async def test_a_call_that_is_given_up_is_cancelled() -> None:
    app = FakeModalApp(container, scale=1.0)
    task = asyncio.ensure_future(transport(app).send(BATCH))
    await until(lambda: app.calls == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_spent_money_ends_the_calls_and_lets_warm_containers_go() -> None:
    app = FakeModalApp(container, SCALE, usd=60.0)
    way = transport(app, cap(50.0))
    await way.send(BATCH)  # the bill is looked up beside the first request
    await until(lambda: app.looks == 1)
    for _ in range(2):
        with pytest.raises(RemoteFailure, match=r"may have cost \$60.00, and --modal.month_usd is \$50.00") as told:
            await way.send(BATCH)
        assert told.value.trouble is RemoteTrouble.QUOTA
    await until(lambda: app.released == 1)
    assert app.calls == 1
    await way.close()


async def test_after_a_long_silence_the_bill_is_looked_at_before_the_worst_is_believed() -> None:
    now = [datetime(2026, 11, 10, tzinfo=UTC)]
    app = FakeModalApp(container, SCALE, usd=1.0)
    way = transport(app, SpendingCap(50.0, worst_per_s=0.01, now=lambda: now[0]))
    await way.send(BATCH)
    now[0] += timedelta(days=2)  # $1,728 at worst
    await way.send(BATCH)
    assert (app.calls, app.looks, app.released) == (2, 2, 0)
    await way.close()


async def test_a_bill_that_never_comes_ends_the_calls_at_the_worst() -> None:
    now = [datetime(2026, 11, 10, tzinfo=UTC)]

    class NoBill(FakeModalApp):
        async def bill(self, now: datetime) -> Bill:
            raise PermissionError("not yours")

    app = NoBill(container, SCALE)
    way = transport(app, SpendingCap(50.0, worst_per_s=0.01, now=lambda: now[0]))
    assert len((await way.send(BATCH)).logits) == 2
    now[0] += timedelta(hours=2)
    with pytest.raises(RemoteFailure, match=r"may have cost \$72.00"):
        await way.send(BATCH)
    await way.close()


def test_the_worst_is_all_containers_at_once() -> None:
    price = read_prices().container_second("l4")
    assert cap_of(ModalSettings(most=3)).worst_per_s == pytest.approx(3 * price)
    assert cap_of(ModalSettings(most=1, warm=2)).worst_per_s == pytest.approx(2 * price)


def test_opening_connects_to_nothing() -> None:
    assert open_modal(ModalSettings()).name == "modal"


QUICK = RemotePolicy(least_patience=0.03, most_patience=0.2, first_pause=0.01, longest_pause=0.05, jitter=0.0)


@asynccontextmanager
async def behind(app: FakeModalApp) -> AsyncIterator[Engine]:
    way = transport(app)
    async with running(GatedRunner(), remote=lambda _: RemoteEnd(PIN, way, QUICK)) as engine:
        yield engine
    await way.close()


def closed(engine: Engine) -> Callable[[], bool]:
    def look() -> bool:
        seen = engine.lanes[0].backend
        assert seen is not None
        return seen.state is BreakerState.CLOSED

    return look


async def test_while_no_container_is_warm_the_embedded_model_answers() -> None:
    app = FakeModalApp(container, SCALE)
    async with behind(app) as engine:
        assert (await ask(engine, 148)).served_by == "embedded"
        await until(closed(engine))
        assert (await ask(engine, 148)).served_by == "modal"
        assert app.starts == 1


async def test_a_container_that_went_to_sleep_is_woken_and_nobody_waits_for_it() -> None:
    app = FakeModalApp(container, scale=0.05)  # a start takes longer than we are patient
    async with behind(app) as engine:
        await until(closed(engine))
        app.stop()
        answers = await asyncio.gather(*(ask(engine, 148) for _ in range(20)))
        assert {answer.served_by for answer in answers} == {"embedded"}
        await until(closed(engine))
        await until(lambda: app.starts == 2)


async def test_containers_that_fail_and_tarry_cost_no_request() -> None:
    app = FakeModalApp(container, SCALE, failing=0.1)
    async with behind(app) as engine:
        await until(closed(engine))
        answers = []
        for _ in range(40):
            answers += await asyncio.gather(*(ask(engine, 148) for _ in range(5)))
        assert len(answers) == 200
        assert {round(answer.logit, 5) for answer in answers} == {2.0}
        assert {answer.served_by for answer in answers} >= {"modal"}


def test_the_settings_choose_it() -> None:
    way = backend_transport(Settings(backend=BackendSettings(choice="modal")), "1.0.0")
    assert way is not None
    assert way.name == "modal"
