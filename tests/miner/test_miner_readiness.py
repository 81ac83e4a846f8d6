"""When the operator's port opens, and what it takes to be ready."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from streetvision.base.start_steps import StartSteps
from streetvision.chain.metagraph import MetagraphSnapshot, Neuron
from streetvision.control.app import Asked
from streetvision.control.readiness import LAG_LIMIT_S, Reason
from streetvision.errors import ConfigError
from streetvision.miner.gate import REASONS, Gate
from streetvision.miner.operator_port import STALE_S, OperatorPort, Parts, Readiness
from streetvision.miner.status import PATHS, StatusService
from streetvision.rollout.device_guard import LostDevice
from streetvision.settings.loading import load_settings
from streetvision.settings.parsing import parse_hosts
from streetvision.settings.settings import METRICS_PORT, Settings

ASKED = Asked({})


def port_of(readiness: Readiness, **settings: Any) -> OperatorPort:
    return OperatorPort(Settings(**settings), CollectorRegistry(), readiness)


def begun(steps: StartSteps | None = None) -> Readiness:
    """Of a miner that has just begun."""
    return Readiness(Gate(), steps or StartSteps(Settings().state_dir), is_mock=False)


def snapshot(*hotkeys: str) -> MetagraphSnapshot:
    rows = (Neuron(uid, key, "c", False, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, None) for uid, key in enumerate(hotkeys))
    return MetagraphSnapshot(72, 1, time.time(), 360, "owner", 256, tuple(rows))


@dataclass
class Ready:
    """A miner that is ready, and what its readiness rests on."""

    gate: Gate = field(default_factory=Gate)
    watcher: Any = field(default_factory=lambda: SimpleNamespace(current=snapshot("me"), age=lambda: 0.0))
    models: Any = field(default_factory=lambda: SimpleNamespace(is_warm=True, lost=None, stuck=None))

    def __post_init__(self) -> None:
        self.gate.closed = None
        self.readiness = Readiness(self.gate, StartSteps(Settings().state_dir), is_mock=False)
        self.readiness.parts = Parts("me", self.watcher, self.models, cast(StatusService, None))

    async def asked(self) -> tuple[int, dict[str, Any]]:
        """What /readyz says."""
        answer = await port_of(self.readiness)._ready(ASKED)
        return answer.status, json.loads(answer.body)


def codes(readiness: Readiness) -> list[str]:
    return [reason.code for reason in readiness.reasons()]


def test_the_port_has_a_default_and_rehearsals_do_not_take_it() -> None:
    assert Settings().http_port == METRICS_PORT
    assert Settings(subtensor_network="mock").http_port == 0
    assert Settings(subtensor_network="mock", metrics_port=9999).http_port == 9999
    assert Settings(metrics_port=0).http_port == 0
    assert Settings().metrics_address == "127.0.0.1"


def test_settings_that_are_none(tmp_path: Path) -> None:
    for name, text in (("METRICS_PORT", "70000"), ("METRICS_ADDRESS", "localhost"), ("METRICS_HOSTS", "a:1")):
        with pytest.raises(ConfigError, match=name):
            load_settings([], {name: text}, cwd=tmp_path, warn=pytest.fail)
    assert parse_hosts("miner, grafana.lan") == "miner, grafana.lan"


async def test_off_means_that_nothing_listens() -> None:
    closed = port_of(begun(), metrics_port=0)
    await closed.start()
    assert closed.server.port is None
    await closed.close()


async def test_a_lost_device_is_no_readiness_until_the_cpu_serves() -> None:
    made = Ready()
    made.models.lost = LostDevice(1.0, "unspecified launch failure", on_cpu=False)
    assert codes(made.readiness) == ["device_lost"]
    assert made.readiness.degraded() == []
    made.models.lost = LostDevice(1.0, "unspecified launch failure", on_cpu=True)
    status, told = await made.asked()
    assert status == 200
    (degraded,) = told["degraded"]
    assert degraded["code"] == "device_lost"
    assert "unspecified launch failure" in degraded["message"]


async def test_a_sick_model_without_a_way_back_is_no_readiness() -> None:
    made = Ready()
    made.models.stuck = "Version 1.2.0 is sick"
    assert codes(made.readiness) == ["model_sick"]
    assert (await made.asked())[0] == 503


async def test_ready_needs_all_of_it() -> None:
    made = Ready()
    assert codes(made.readiness) == []
    assert (await made.asked())[0] == 200
    made.gate.closed = "draining"
    assert codes(made.readiness) == ["draining"]
    made.gate.closed = None
    made.models.is_warm = False
    assert codes(made.readiness) == ["not_warm"]
    made.models.is_warm = True
    made.watcher.age = lambda: STALE_S + 5
    assert codes(made.readiness) == ["stale_metagraph"]
    made.watcher.age = lambda: 0.0
    made.watcher.current = snapshot("somebody else")
    assert codes(made.readiness) == ["not_registered"]
    made.watcher.current = replace(snapshot("somebody else"), block_time=time.time() - 7200)
    assert codes(made.readiness) == [], "a node that lags proves no absence"
    made.watcher.current = None
    assert codes(made.readiness) == ["no_metagraph"]
    status, told = await made.asked()
    assert status == 503
    assert told["reasons"][0]["message"]


def test_a_miner_that_has_just_begun_says_why_it_is_not_ready() -> None:
    assert codes(begun()) == ["starting", "not_warm", "no_metagraph"]
    assert begun().degraded() == []


def test_every_reason_of_the_gate_has_its_sentence() -> None:
    made = Ready()
    for code, sentence in REASONS.items():
        made.gate.closed = code
        assert made.readiness.reasons()[0] == Reason(code, sentence)


def test_a_starting_miner_says_its_step(tmp_path: Path) -> None:
    steps = StartSteps(tmp_path)
    steps.begin("connecting to the chain")
    made = begun(steps)
    assert made.reasons()[0].message.startswith("the miner is starting: connecting to the chain, for 0 s (process ")
    steps.close()
    assert made.reasons()[0].message == "the miner is starting"


async def test_a_loop_that_hung_is_not_alive() -> None:
    made = port_of(begun())
    assert (await made._alive(ASKED)).status == 200
    made._loop_watch._lags.append(LAG_LIMIT_S + 1)
    response = await made._alive(ASKED)
    assert response.status == 503
    assert json.loads(response.body)["alive"] is False


async def test_no_forward_pass_before_the_model_is_warm() -> None:
    loading = Ready()
    loading.models.is_warm = False
    for readiness in (begun(), loading.readiness):
        response = await port_of(readiness)._generate(ASKED)
        assert response.status == 503
        assert json.loads(response.body)["reason"] == "starting"


@pytest.mark.parametrize("path", PATHS)
async def test_without_a_status_yet_the_port_says_why(path: str) -> None:
    answer = await port_of(begun())._of_status(path, ASKED)
    assert answer.status == 503
    assert json.loads(answer.body) == {"message": "No status yet: the miner is starting."}
