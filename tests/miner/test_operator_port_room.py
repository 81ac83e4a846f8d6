"""When the operator's port opens, and what it takes to be ready."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from streetvision.base.start_steps import StartSteps
from streetvision.chain.metagraph import MetagraphSnapshot, Neuron
from streetvision.chain.watcher import MetagraphWatcher
from streetvision.control.app import Asked
from streetvision.control.readiness import LAG_LIMIT_S
from streetvision.errors import ConfigError
from streetvision.miner.miner import Gate
from streetvision.miner.models import ModelRoom
from streetvision.miner.operator_port import STALE_S, HttpRoom
from streetvision.rollout.device_guard import LostDevice
from streetvision.settings.loading import load_settings
from streetvision.settings.network import SubtensorSettings
from streetvision.settings.parsing import parse_hosts
from streetvision.settings.settings import Settings
from streetvision.settings.upkeep import METRICS_PORT, MetricsSettings

ASKED = Asked({})


def room(**settings: Any) -> HttpRoom:
    made = Settings(**settings)
    return HttpRoom(made, CollectorRegistry(), Gate(), StartSteps(made.state_dir))


def snapshot(*hotkeys: str) -> MetagraphSnapshot:
    rows = (Neuron(uid, key, "c", False, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, None) for uid, key in enumerate(hotkeys))
    return MetagraphSnapshot(72, 1, time.time(), 360, "owner", 256, tuple(rows))


def ready_room() -> tuple[HttpRoom, SimpleNamespace, Gate]:
    """A room whose miner is ready, its watcher and its gate."""
    gate = Gate()
    made = HttpRoom(Settings(), CollectorRegistry(), gate, StartSteps(Settings().state_dir))
    watcher = SimpleNamespace(current=snapshot("me"), age=lambda: 0.0)
    made._watcher, made._hotkey = cast(MetagraphWatcher, watcher), "me"
    made._models = cast(ModelRoom, SimpleNamespace())
    gate.closed = None
    return made, watcher, gate


def codes(made: HttpRoom) -> list[str]:
    return [reason.code for reason in made.reasons()]


def test_the_port_has_a_default_and_rehearsals_do_not_take_it() -> None:
    assert Settings().http_port == METRICS_PORT
    assert Settings(subtensor=SubtensorSettings(network="mock")).http_port == 0
    assert Settings(subtensor=SubtensorSettings(network="mock"), metrics=MetricsSettings(port=9999)).http_port == 9999
    assert Settings(metrics=MetricsSettings(port=0)).http_port == 0
    assert Settings().metrics.address == "127.0.0.1"


def test_settings_that_are_none(tmp_path: Any) -> None:
    for name, text in (("METRICS_PORT", "70000"), ("METRICS_ADDRESS", "localhost"), ("METRICS_HOSTS", "a:1")):
        with pytest.raises(ConfigError, match=name):
            load_settings([], {name: text}, cwd=tmp_path, warn=pytest.fail)
    assert parse_hosts("miner, grafana.lan") == "miner, grafana.lan"


async def test_off_means_that_nothing_listens() -> None:
    closed = room(metrics=MetricsSettings(port=0))
    await closed.start()
    assert closed.server.port is None
    await closed.close()


async def test_a_lost_device_is_no_readiness_until_the_cpu_serves() -> None:
    made, _, _ = ready_room()
    made._device = lambda: LostDevice(1.0, "unspecified launch failure", on_cpu=False)
    assert codes(made) == ["device_lost"]
    assert made.degraded() == []
    made._device = lambda: LostDevice(1.0, "unspecified launch failure", on_cpu=True)
    answer = await made._ready(ASKED)
    assert answer.status == 200
    (degraded,) = json.loads(answer.body)["degraded"]
    assert degraded["code"] == "device_lost"
    assert "unspecified launch failure" in degraded["message"]


async def test_a_sick_model_without_a_way_back_is_no_readiness() -> None:
    made, _, _ = ready_room()
    made._stuck = lambda: "Version 1.2.0 is sick"
    assert codes(made) == ["model_sick"]
    assert (await made._ready(ASKED)).status == 503


async def test_ready_needs_all_of_it() -> None:
    made, watcher, gate = ready_room()
    assert codes(made) == []
    assert (await made._ready(ASKED)).status == 200
    gate.closed = "draining"
    assert codes(made) == ["draining"]
    gate.closed = None
    watcher.age = lambda: STALE_S + 5
    assert codes(made) == ["stale_metagraph"]
    watcher.age = lambda: 0.0
    watcher.current = snapshot("somebody else")
    assert codes(made) == ["not_registered"]
    watcher.current = replace(snapshot("somebody else"), block_time=time.time() - 7200)
    assert codes(made) == [], "a node that lags proves no absence"
    watcher.current = None
    assert codes(made) == ["no_metagraph"]
    response = await made._ready(ASKED)
    assert response.status == 503
    assert json.loads(response.body)["reasons"][0]["message"]


def test_a_miner_that_has_just_begun_says_why_it_is_not_ready() -> None:
    assert codes(room()) == ["starting", "not_warm", "no_metagraph"]


def test_a_starting_miner_says_its_step(tmp_path: Any) -> None:
    steps = StartSteps(tmp_path)
    steps.begin("connecting to the chain")
    made = HttpRoom(Settings(), CollectorRegistry(), Gate(), steps)
    assert made.reasons()[0].message.startswith("the miner is starting: connecting to the chain, for 0 s (process ")
    steps.close()
    assert made.reasons()[0].message == "the miner is starting"


async def test_a_loop_that_hung_is_not_alive() -> None:
    made = room()
    assert (await made._alive(ASKED)).status == 200
    made._loop_watch._lags.append(LAG_LIMIT_S + 1)
    response = await made._alive(ASKED)
    assert response.status == 503
    assert json.loads(response.body)["alive"] is False


async def test_no_forward_pass_before_the_model_is_warm() -> None:
    response = await room()._generate(ASKED)
    assert response.status == 503
    assert json.loads(response.body)["reason"] == "starting"
