"""A real Ray on this machine: up, deployed to, asked through the bridge, updated, robbed of a replica, and stopped.

One Ray for the module, with 80 MiB for its store; about a minute on two cores.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streetvision.cluster.from_settings import local_ray, ray_transport
from streetvision.doctor.backend import check_backend
from streetvision.doctor.check import Mark
from streetvision.engine.engine import Engine
from streetvision.engine.remote_policy import BreakerState, RemotePolicy
from streetvision.engine.transport import ModelPin, RemoteBatch, RemoteFailure, RemoteTrouble
from streetvision.engine.types import Prediction
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.folder import read_config
from streetvision.models.network import build, tiny_config
from streetvision.registry.registry import Registry, open_registry
from streetvision.runner.opening import open_runner
from streetvision.runner.remote import pin_of, remote_ends
from streetvision.settings.backend import BackendSettings, RaySettings
from streetvision.settings.model import ModelSettings
from streetvision.settings.settings import Settings

from ..engine.waiting import until
from ..photos import grey_photo

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
    pytest.mark.timeout(180),
]
SIDE = 64
TWO = {"RAY_CPUS": "0.1", "RAY_MIN_REPLICAS": "2", "RAY_MAX_REPLICAS": "2"}
"""Two replicas, by variables."""
POLICY = RemotePolicy(longest_pause=0.5)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass(frozen=True)
class Cluster:
    """Ray with two versions to serve."""

    settings: Settings
    registry: Registry

    def pin(self, version: str) -> ModelPin:
        return pin_of(version, read_config(self.registry.get(version).folder))

    def batch(self, version: str = "1.0.0", count: int = 1) -> RemoteBatch:
        images = np.random.default_rng(count).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
        return RemoteBatch(self.pin(version), images, (20.0,) * count, (0.0,) * count, ("",) * count)

    def run(self, *words: str, changes: dict[str, str] | None = None) -> dict[str, Any]:
        """`streetvision cluster ...`, as an operator calls it."""
        done = subprocess.run(
            [sys.executable, "-m", "streetvision.cli", "cluster", *words, "--json", "--state_dir", str(self.state)],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            cwd=self.state,
            env={**os.environ, **self.variables, **(changes or {})},
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    @property
    def state(self) -> Path:
        return self.settings.state_dir

    @property
    def variables(self) -> dict[str, str]:
        ray = self.settings.ray
        return {
            "RAY_PORT": str(ray.port),
            "RAY_DASHBOARD_PORT": str(ray.dashboard_port),
            "RAY_OBJECT_STORE_MIB": str(ray.object_store_mib),
            "RAY_CPUS": str(ray.cpus),
            "MODEL_THREADS": "1",
        }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    state = tmp_path_factory.mktemp("ray")
    torch.manual_seed(0)
    registry = open_registry(state / "state")
    for version in ("1.0.0", "1.1.0"):
        config = replace(tiny_config(depth=1, width=64, version=version), input_size=SIDE)
        save_checkpoint(state / version, config, build(config).state_dict())
        registry.add_folder(state / version, source="a test")
    settings = Settings(
        state_dir=state / "state",
        threads=1,
        model=ModelSettings(choice="1.0.0"),
        backend=BackendSettings(choice="ray"),
        ray=RaySettings(port=free_port(), dashboard_port=free_port(), object_store_mib=80, cpus=0.2),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 2)
        found = Cluster(settings, registry)
        try:
            assert found.run("up")["started"]
            assert found.run("deploy", "1.0.0")["state"] == "RUNNING"
            yield found
        finally:
            local_ray(settings).down()


@asynccontextmanager
async def miner(cluster: Cluster) -> AsyncIterator[Engine]:
    """An engine with version 1.0.0 embedded and the cluster before it."""
    folder = cluster.registry.get("1.0.0").folder
    transport = ray_transport(cluster.settings, start=False)
    engine = Engine(
        lambda: open_runner(folder, device="cpu", threads=1, buckets=(1, 2)), remote=remote_ends(transport, POLICY)
    )
    try:
        await engine.start()
        await until_closed(engine)
        yield engine
    finally:
        await engine.close()
        await transport.close()


async def until_closed(engine: Engine) -> None:
    async with asyncio.timeout(60):
        while (seen := engine.lanes[0].backend) is not None and seen.state is not BreakerState.CLOSED:
            await asyncio.sleep(0.05)


async def ask(engine: Engine) -> Prediction:
    return await engine.predict(grey_photo(99, side=SIDE), deadline=time.monotonic() + 8.0, priority=0.0)


async def test_the_cluster_answers_bit_for_bit_as_the_embedded_model_does(cluster: Cluster) -> None:
    transport = ray_transport(cluster.settings, start=False)
    try:
        for version in ("1.0.0", "1.1.0"):  # the second one is loaded when it is asked for
            asked = cluster.batch(version, count=2)
            answer = await transport.send(asked)
            runner = open_runner(cluster.registry.get(version).folder, device="cpu", threads=1)
            own = runner.run(asked.images)
            np.testing.assert_array_equal(answer.logits, own.logits)
            np.testing.assert_array_equal(answer.embeddings, own.embeddings)
        assert transport.link == f"http://127.0.0.1:{cluster.settings.ray.dashboard_port}"
    finally:
        await transport.close()


async def test_what_is_not_there_is_told_by_its_name(cluster: Cluster) -> None:
    transport = ray_transport(cluster.settings, start=False)
    asked = cluster.batch()
    wrong = {
        RemoteTrouble.UNKNOWN_VERSION: ModelPin("9.9.9", asked.model.fingerprint),
        RemoteTrouble.OTHER_WEIGHTS: ModelPin("1.0.0", "0" * 64),
    }
    try:
        for trouble, pin in wrong.items():
            with pytest.raises(RemoteFailure) as caught:
                await transport.send(replace(asked, model=pin))
            assert caught.value.trouble is trouble
    finally:
        await transport.close()


async def test_a_large_batch_fits_through_for_a_miner_that_would_start_ray(cluster: Cluster) -> None:
    transport = ray_transport(cluster.settings)
    try:
        assert (await transport.send(cluster.batch(count=600))).logits.shape == (600,)  # 7 MB
    finally:
        await transport.close()


def test_status_tells_of_replicas_and_where_to_look(cluster: Cluster) -> None:
    told = cluster.run("status")
    assert (told["state"], told["replicas"]["RUNNING"], told["nodes"]) == ("RUNNING", 1, 1)
    assert told["dashboard"].endswith(str(cluster.settings.ray.dashboard_port))


async def test_the_doctor_asks_for_the_version_that_serves(cluster: Cluster) -> None:
    check = await check_backend(cluster.settings, time.time())
    assert (check.mark, "answers for 1.0.0" in check.evidence) == (Mark.OK, True), check


async def test_a_replica_that_is_killed_costs_no_request(cluster: Cluster) -> None:
    transport = ray_transport(cluster.settings, start=False)
    replica = (await transport.send(cluster.batch())).replica
    await transport.close()
    async with miner(cluster) as engine:
        asked = [asyncio.create_task(ask(engine)) for _ in range(5)]
        os.kill(int(replica.rpartition(":")[2]), signal.SIGKILL)
        for _ in range(40):
            asked.append(asyncio.create_task(ask(engine)))
            await asyncio.sleep(0.02)
        answers = await asyncio.gather(*asked)
        assert {answer.served_by for answer in answers} >= {"embedded"}
        await until_closed(engine)
        async with asyncio.timeout(60):  # the first answers of a new replica may be late, and the embedded model's come
            while (await ask(engine)).served_by != "ray":
                await asyncio.sleep(0.05)


async def test_a_bridge_that_ends_is_started_again(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.cluster.transport.RETRY_SECONDS", 0.0)
    transport = ray_transport(cluster.settings, start=False)
    try:
        await transport.send(cluster.batch())
        link = transport._link
        assert link is not None
        assert link._process is not None
        link._process.kill()
        await until(lambda: link.ended)
        assert (await transport.send(cluster.batch())).logits.shape == (1,)
    finally:
        await transport.close()


async def test_an_update_of_the_replicas_costs_no_request(cluster: Cluster) -> None:
    async with miner(cluster) as engine:
        before = (await ask(engine)).served_by
        deploying = asyncio.create_task(asyncio.to_thread(cluster.run, "deploy", "1.0.0", changes=TWO))
        answers = []
        while not deploying.done():
            answers.append(await ask(engine))
            await asyncio.sleep(0.02)
        assert (await deploying)["state"] == "RUNNING"
        await until_closed(engine)
        assert (before, (await ask(engine)).served_by) == ("ray", "ray")
    assert len(answers) > 20
    assert len({answer.logit for answer in answers}) == 1


async def test_a_version_is_loaded_by_every_replica_once_somebody_asks_for_it(cluster: Cluster) -> None:
    await asyncio.to_thread(cluster.run, "deploy", "1.0.0", changes=TWO)
    transport = ray_transport(cluster.settings, start=False)
    replicas = set[str]()
    try:
        async with asyncio.timeout(60):
            while len(replicas) < 2:
                answers = await asyncio.gather(*(transport.send(cluster.batch("1.1.0")) for _ in range(6)))
                replicas |= {answer.replica for answer in answers}
    finally:
        await transport.close()
