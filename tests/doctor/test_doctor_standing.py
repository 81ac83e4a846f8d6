"""The chain's part: from a mocked chain without a miner, and from what a running miner says."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streetvision.base.start_steps import StartSteps
from streetvision.chain.client import Chain
from streetvision.chain.mock.config import MockConfig
from streetvision.chain.mock.network import MockNetwork
from streetvision.chain.wallets import dev_wallet
from streetvision.control.monitor_operations import told
from streetvision.control.server import ControlServer
from streetvision.doctor.bounds import in_thread
from streetvision.doctor.check import SECTIONS, Check, Mark
from streetvision.doctor.examination import Tools, examine
from streetvision.doctor.live import Live, ask
from streetvision.doctor.models import check_card, check_model
from streetvision.doctor.operator_port import check_metrics
from streetvision.doctor.standing import StandingReport, standing_live, standing_offline
from streetvision.errors import OperatorError
from streetvision.hub.files import RepoRef
from streetvision.monitor.finding import read_finding
from streetvision.monitor.observation import Observation, Probe, RefusalView
from streetvision.monitor.rule_pass import rule_pass
from streetvision.monitor.unjudged import unjudged_words
from streetvision.settings.model import ModelSettings
from streetvision.settings.network import AxonSettings, SubtensorSettings
from streetvision.settings.settings import Settings
from streetvision.settings.upkeep import MetricsSettings

Offline = Callable[..., Awaitable[StandingReport]]
GREETS, SILENT = True, False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A private network, so that addresses of this machine will do."""
    return Settings(
        subtensor=SubtensorSettings(network="local"),
        state_dir=tmp_path / "state",
        axon=AxonSettings(ip="127.0.0.1", port=free_port(), external_ip="127.0.0.1"),
        metrics=MetricsSettings(port=0),
    )


@pytest.fixture
async def network() -> AsyncIterator[Callable[..., MockNetwork]]:
    """Mocked chains that make no blocks by themselves."""
    made: list[MockNetwork] = []

    def make(**config: Any) -> MockNetwork:
        made.append(MockNetwork(MockConfig(**config)))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


def tries(reached: bool) -> Callable[[str], Awaitable[Probe]]:
    async def try_it(endpoint: str) -> Probe:
        return Probe(endpoint, reached, "the axon greets" if reached else "connection refused", 0.0)

    return try_it


def by_name(checks: tuple[Check, ...]) -> dict[str, Check]:
    return {check.name: check for check in checks}


async def look(settings: Settings, network: MockNetwork, reached: bool = SILENT) -> StandingReport:
    wallet = dev_wallet("Miner")
    return await standing_offline(settings, wallet, opening=lambda _: network.chain(), try_it=tries(reached))


async def publish(network: MockNetwork, port: int) -> None:
    chain = network.chain()
    await chain.publish_axon(dev_wallet("Miner").hotkey, "127.0.0.1", port)
    await chain.close()


async def test_registered_but_nobody_serves(settings: Settings, network: Callable[..., MockNetwork]) -> None:
    chain = network()
    await publish(chain, settings.axon.port)
    found = await look(settings, chain)
    checks = by_name(found.checks)
    assert checks["chain"].mark is Mark.OK
    assert checks["registered"].evidence.startswith("UID 4, rank")
    assert checks["endpoint"].mark is Mark.OK
    assert checks["port"].mark is Mark.OK
    assert checks["reachable"].mark is Mark.WARNING
    assert "curl" in checks["reachable"].remedy
    assert found.diagnosis["cause"] == "not_reachable"
    assert found.diagnosis["title"] == "no miner is running here"
    assert str(settings.axon.port) in found.diagnosis["evidence"][0]
    assert [ruled["cause"] for ruled in found.diagnosis["ruled_out"]] == ["halted", "not_registered"]


async def test_the_public_address_is_tried_with_a_greeting_of_our_own(
    settings: Settings, network: Callable[..., MockNetwork]
) -> None:
    found = await standing_offline(settings, dev_wallet("Miner"), opening=lambda _: network().chain())
    assert by_name(found.checks)["reachable"].mark is Mark.OK


async def test_another_endpoint_on_the_chain(settings: Settings, network: Callable[..., MockNetwork]) -> None:
    chain = network()
    await publish(chain, 9)
    check = by_name((await look(settings, chain)).checks)["endpoint"]
    assert check.mark is Mark.WARNING
    assert "the chain shows 127.0.0.1:9" in check.evidence
    none = by_name((await look(settings, network())).checks)["endpoint"]
    assert "has no endpoint" in none.evidence


async def test_a_miner_that_runs_elsewhere_is_no_silence(
    settings: Settings, network: Callable[..., MockNetwork]
) -> None:
    chain = network()
    await publish(chain, 9)
    assert (await look(settings, chain, GREETS)).diagnosis["title"] != "no miner is running here"


async def test_not_registered(settings: Settings, network: Callable[..., MockNetwork]) -> None:
    found = await look(settings, network(miner_registered=False))
    check = by_name(found.checks)["registered"]
    assert check.mark is Mark.FAILURE
    assert "Register with: python neurons/miner.py --netuid 72" in check.remedy
    assert found.diagnosis["cause"] == "not_registered"
    assert "deregistered" in {finding.code for finding in found.findings}


async def test_a_chain_that_is_away(settings: Settings) -> None:
    chains: list[Chain] = []

    def away(_: Settings) -> Chain:
        chains.append(Chain("local", 72, endpoints=("ws://127.0.0.1:9",)))
        return chains[-1]

    found = await standing_offline(settings, dev_wallet("Miner"), opening=away, try_it=tries(GREETS))
    checks = by_name(found.checks)
    assert checks["chain"].mark is Mark.FAILURE
    assert "127.0.0.1:9" in checks["chain"].evidence
    assert checks["registered"].mark is Mark.SKIPPED
    assert checks["port"].mark is Mark.OK
    assert found.diagnosis["cause"] == "unknown"


async def test_a_subnet_that_is_not_there(settings: Settings, network: Callable[..., MockNetwork]) -> None:
    chain = network(netuid=11)
    found = await standing_offline(
        settings, dev_wallet("Miner"), opening=lambda _: chain_of(chain, 72), try_it=tries(SILENT)
    )
    assert "Subnet 72 does not exist" in by_name(found.checks)["chain"].evidence


def chain_of(network: MockNetwork, netuid: int) -> Chain:
    chain = network.chain()
    chain.netuid = netuid
    return chain


async def test_without_a_hotkey_the_chain_is_tried_all_the_same(
    settings: Settings, network: Callable[..., MockNetwork]
) -> None:
    found = await standing_offline(settings, None, opening=lambda _: network().chain(), try_it=tries(SILENT))
    checks = by_name(found.checks)
    assert checks["chain"].mark is Mark.OK
    assert "hotkey" in checks["registered"].evidence


@pytest.mark.usefixtures("taken")
async def test_the_port_of_a_starting_miner_is_left_alone(
    settings: Settings, network: Callable[..., MockNetwork]
) -> None:
    found = await standing_offline(
        settings, dev_wallet("Miner"), opening=lambda _: network().chain(), try_it=tries(SILENT), starting=True
    )
    checks = by_name(found.checks)
    assert (checks["port"].mark, checks["reachable"].mark) == (Mark.SKIPPED, Mark.SKIPPED)
    assert found.diagnosis["title"] == "the miner is still starting"


async def test_a_starting_miner_keeps_its_port(settings: Settings, network: Callable[..., MockNetwork]) -> None:
    steps = StartSteps(settings.state_dir)
    steps.begin("loading libraries")
    report = await examine(settings, None, [], tools(network(), ask))
    steps.close()
    checks = by_name(report.checks)
    assert checks["miner"].mark is Mark.WARNING
    assert "left alone" in checks["port"].evidence


@pytest.fixture
def taken(settings: Settings) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", settings.axon.port)):
        yield


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize(
    ("reached", "who"), [(GREETS, "a miner with another state folder"), (SILENT, "another process")]
)
async def test_a_taken_port(settings: Settings, network: Callable[..., MockNetwork], reached: bool, who: str) -> None:
    checks = by_name((await look(settings, network(), reached)).checks)
    assert checks["port"].mark is Mark.FAILURE
    assert checks["port"].evidence.startswith(who)
    assert "ss -ltnp" in checks["port"].remedy
    assert checks["reachable"].mark is Mark.SKIPPED


def live(seen: Observation, **about: Any) -> Live:
    """What a miner with this observation would say, through JSON as the socket sends it."""
    fields = json.loads(json.dumps(told(rule_pass(seen))))
    findings = tuple(read_finding(item) for item in fields["findings"])
    return Live({"pid": 1, "version": "0.1.0", **about}, fields["observed"], findings, fields["diagnosis"])


async def test_a_running_miner_that_is_well(settings: Settings, seen: Callable[..., Observation]) -> None:
    well = seen(refusals=(RefusalView("unknown_path", "unknown path", 9, 2, 0.0),))
    found = await standing_live(settings, live(well, port=settings.axon.port), tries(GREETS))
    assert "2 x unknown_path (unknown path)" in by_name(found.checks)["refused"].evidence
    assert {check.mark for check in found.checks} == {Mark.OK}
    assert found.findings == ()
    assert found.diagnosis["cause"] == "earning"


async def test_a_running_miner_that_does_not_answer_here(settings: Settings, seen: Callable[..., Observation]) -> None:
    checks = by_name((await standing_live(settings, live(seen()), tries(SILENT))).checks)
    assert checks["port"].mark is Mark.FAILURE
    assert checks["reachable"].mark is Mark.OK  # validators' requests arrive


async def test_a_running_miner_without_a_chain(settings: Settings, seen: Callable[..., Observation]) -> None:
    blind = seen(points=(), snapshot_age=float("inf"))
    checks = by_name((await standing_live(settings, live(blind), tries(GREETS))).checks)
    assert checks["chain"].mark is Mark.FAILURE
    assert checks["registered"].mark is Mark.SKIPPED


async def test_a_running_miner_whose_node_lags_is_not_called_unregistered(
    settings: Settings, seen: Callable[..., Observation]
) -> None:
    view = seen()
    old = replace(view.points[-1], uid=None, registered_at=None, axon=None, clock_offset=7200.0)
    lags = live(replace(view, points=(*view.points[:-1], old)))
    found = await standing_live(settings, lags, tries(GREETS))
    checks = by_name(found.checks)
    assert checks["registered"].mark is checks["endpoint"].mark is Mark.SKIPPED
    assert "it is right, but the node is not" in checks["clock"].evidence
    assert [finding.code for finding in found.findings] == ["node_lags"]
    before = replace(lags, observed={k: v for k, v in lags.observed.items() if k not in ("blind", "offsets")})
    assert by_name((await standing_live(settings, before, tries(GREETS))).checks)["registered"].mark is Mark.FAILURE


async def test_without_a_miner_a_node_that_lags_proves_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streetvision.doctor.standing.kernel_synchronised", lambda: True)
    late = MockNetwork(MockConfig(miner_registered=False), now=lambda: time.time() - 7200)
    found = await look(settings, late)
    assert by_name(found.checks)["registered"].mark is Mark.SKIPPED
    assert [finding.code for finding in found.findings] == ["node_lags"]
    assert "halted" in {ruled["cause"] for ruled in found.diagnosis["ruled_out"]}


async def test_the_operators_port(settings: Settings) -> None:
    lost = b'{"ready": true, "reasons": [], "degraded": [{"code": "device_lost", "message": "the CPU answers"}]}'
    answers = {
        b"ready": b"HTTP/1.1 200 OK\r\n\r\nok",
        b"stale": b"HTTP/1.1 503 No\r\n\r\nmetagraph is stale",
        b"degraded": b"HTTP/1.1 200 OK\r\n\r\n" + lost,
    }
    said = b"ready"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /readyz ")
        writer.write(answers[said])
        writer.close()

    async def check(port: int, *, running: bool) -> Check:
        return await in_thread(
            lambda: check_metrics(replace(settings, metrics=replace(settings.metrics, port=port)), running=running)
        )

    assert (await check(0, running=True)).mark is Mark.SKIPPED
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert (await check(port, running=True)).mark is Mark.OK
        said = b"stale"
        late = await check(port, running=True)
        assert (late.mark, "503: metagraph is stale" in late.evidence) == (Mark.WARNING, True)
        said = b"degraded"
        less = await check(port, running=True)
        assert (less.mark, "degraded: the CPU answers" in less.evidence) == (Mark.WARNING, True)
        assert (await check(port, running=False)).mark is Mark.FAILURE
    assert (await check(port, running=False)).mark is Mark.OK
    assert "does not answer" in (await check(port, running=True)).evidence


class HubSays:
    """A hub that gives every file the same content."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, ref: RepoRef, name: str, limit: int) -> bytes:
        return self._data


CARD = b"""{"model_name": "m", "description": "d", "version": "1.0.0", "submission_time": 1760000000,
"submitted_by": "%s"}"""
OWN, OTHER = dev_wallet("Miner").ss58_address, dev_wallet("Bob").ss58_address


def test_cards(settings: Settings) -> None:
    def card(who: str, **changes: Any) -> Check:
        hub: Any = HubSays(CARD % who.encode())
        return check_card(replace(settings, **changes), None, OWN, hub)

    assert card(OWN).mark is Mark.SKIPPED
    assert "MODEL_REPO" in card(OWN).remedy
    assert card(OTHER, model=ModelSettings(repo="me/roads")).mark is Mark.FAILURE
    pulled = card(OTHER, model=ModelSettings(choice="hf:other/roads@v1"))
    assert (pulled.mark, "streetvision models publish" in pulled.remedy) == (Mark.WARNING, True)
    assert card(OWN, subtensor=SubtensorSettings(network="mock")).mark is Mark.SKIPPED


def test_models_are_looked_at_and_nothing_else(settings: Settings) -> None:
    check, model = check_model(settings)
    assert (check.mark, model) == (Mark.FAILURE, None)
    assert check_model(replace(settings, model=replace(settings.model, choice="bundled")))[0].mark is Mark.WARNING
    assert check_model(replace(settings, subtensor=replace(settings.subtensor, network="mock")))[0].mark is Mark.OK
    check, model = check_model(replace(settings, model=replace(settings.model, choice="hf:me/roads@v1")))
    assert (check.mark, model) == (Mark.SKIPPED, None)
    assert check.remedy.endswith("streetvision models pull me/roads@v1")
    with pytest.raises(OperatorError, match="no model version"):
        check_model(replace(settings, model=replace(settings.model, choice="1.2.3")))
    assert not (settings.state_dir / "models").exists()


def tools(chain: MockNetwork, asked: Callable[[Path], Live]) -> Tools:
    gpu: dict[str, Any] = {"torch": "2.14.1", "cuda": None, "available": False, "archs": [], "devices": []}
    return Tools(
        opening=lambda _: chain.chain(), try_it=tries(SILENT), ask=asked, look_at_gpu=lambda: gpu, driver=lambda: None
    )


async def test_the_whole_examination_without_a_miner(settings: Settings, network: Callable[..., MockNetwork]) -> None:
    report = await examine(settings, None, [], tools(network(), ask))
    assert [check.name for check in report.checks][:7] == list(SECTIONS["Installation"])
    assert "not checked" not in {check.evidence for check in report.checks}
    assert all(check.remedy for check in report.checks if check.mark in (Mark.WARNING, Mark.FAILURE))
    assert by_name(report.checks)["hotkey"].mark is Mark.FAILURE
    assert report.failed


async def test_the_whole_examination_through_the_socket(
    settings: Settings, network: Callable[..., MockNetwork], seen: Callable[..., Observation]
) -> None:
    settings = replace(settings, subtensor=replace(settings.subtensor, network="mock"))
    settings.state_dir.mkdir()

    async def findings(arguments: Any, progress: Any) -> dict[str, Any]:
        return {"miner": {"pid": 7, "version": "0.1.0"}, **told(rule_pass(seen(snapshot_age=4000.0)))}

    server = ControlServer(settings.state_dir / "control.sock", {"findings": findings})
    await server.start()
    try:
        report = await examine(settings, None, [], tools(network(), ask))
    finally:
        await server.close()
    checks = by_name(report.checks)
    assert checks["miner"].mark is Mark.OK
    assert checks["chain"].mark is Mark.FAILURE
    assert "metagraph" in checks["chain"].evidence
    assert report.diagnosis["cause"] == "earning"
    assert "no GPU reading: gpu_pressure" in unjudged_words(report.unjudged)


async def test_a_miner_of_an_older_version_is_asked_in_vain(settings: Settings) -> None:
    settings.state_dir.mkdir()
    server = ControlServer(settings.state_dir / "control.sock", {})
    await server.start()
    try:
        with pytest.raises(OperatorError, match="unknown operation"):
            await in_thread(lambda: ask(settings.state_dir))
    finally:
        await server.close()


async def test_a_miner_that_hangs_holds_nothing_up(
    settings: Settings, network: Callable[..., MockNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streetvision.doctor.examination.QUICK_S", 0.2)
    hangs = asyncio.Event()
    loop = asyncio.get_running_loop()

    def never(_: Path) -> Live:
        asyncio.run_coroutine_threadsafe(hangs.wait(), loop).result()
        raise OperatorError("late")

    report = await examine(
        replace(settings, subtensor=replace(settings.subtensor, network="mock")), None, [], tools(network(), never)
    )
    hangs.set()
    assert by_name(report.checks)["miner"].mark is Mark.SKIPPED
