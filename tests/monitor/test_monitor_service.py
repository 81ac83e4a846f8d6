"""The monitor of a running miner, the machine it reads and the endpoint it tries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from simulation.subnet import ENDPOINT, OWN, Subnet

from streetvision.axon.app import GREETING
from streetvision.monitor.diagnosis import Cause, diagnose
from streetvision.monitor.history import read_history
from streetvision.monitor.machine import read_machine
from streetvision.monitor.monitor import Monitor, Sources
from streetvision.monitor.observation import MachineView, Observation, Probe
from streetvision.monitor.offline import observe_offline
from streetvision.monitor.probe import probe_endpoint
from streetvision.monitor.traffic_counter import TrafficCounter
from streetvision.prediction_log.write_health import LogHealth


class Clock:
    now = 1.795e9

    def __call__(self) -> float:
        return self.now


# -- the service -------------------------------------------------------------------------------------------------------


async def reached(endpoint: str) -> Probe:
    return Probe(endpoint, True, "the axon greets", Clock.now)


def service(folder: Path, clock: Clock, **sources: Any) -> Monitor:
    known = Sources(snapshot_age=lambda: 5.0, endpoint=lambda: ENDPOINT, **sources)
    return Monitor(folder, OWN, 72, known, TrafficCounter(clock()), now=clock, probe=reached)


async def test_a_pass_observes_judges_tells_and_keeps(tmp_path: Path) -> None:
    clock, subnet = Clock(), Subnet(1, uids=64)
    told: list[tuple[Any, Observation]] = []
    health = LogHealth(9, 9, {"overload": 4}, {}, 0, 0, 0, 0, False, "disk_full")
    monitor = service(tmp_path, clock, offset=lambda hotkey: 0.2, log=lambda: health)
    monitor.add_listener(lambda findings, seen: told.append((findings, seen)))
    subnet.deregister_own()
    monitor.on_snapshot(None, subnet.snapshot(clock.now))
    passed = await monitor.look()
    assert [f.code for f in passed.findings] == ["deregistered", "log_degraded"]
    assert monitor.findings == passed.findings == told[0][0]
    assert await monitor.newest() is passed
    assert told[0][1].log is not None
    assert told[0][1].log.lost == 4
    assert set(told[0][1].offsets) == {v.hotkey for v in subnet.validators}
    assert passed.diagnosis.cause is Cause.NOT_REGISTERED
    await monitor.close()
    assert len(read_history(tmp_path, OWN, 72)[0]) == 1


async def test_the_endpoint_is_tried_every_five_minutes(tmp_path: Path) -> None:
    clock, tries = Clock(), []

    async def probe(endpoint: str) -> Probe:
        tries.append(endpoint)
        return Probe(endpoint, False, "connection refused", clock.now)

    sources = Sources(snapshot_age=lambda: 5.0, endpoint=lambda: ENDPOINT)
    monitor = Monitor(tmp_path, OWN, 72, sources, TrafficCounter(clock()), now=clock, probe=probe)
    for step in range(0, 620, 20):
        clock.now = Clock.now + step
        await monitor.look()
    assert tries == [ENDPOINT] * 3
    assert [f.code for f in monitor.findings] == ["endpoint_unreachable"]
    await monitor.close()


async def test_run_looks_until_cancelled_and_survives_a_bad_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    clock, naps = Clock(), []

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        clock.now += seconds
        if len(naps) == 40:
            raise asyncio.CancelledError

    sources = Sources(snapshot_age=lambda: 5.0)
    monitor = Monitor(tmp_path / "file", OWN, 72, sources, TrafficCounter(clock()), now=clock, sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await monitor.run()
    assert [f.code for f in monitor.findings] == ["history_degraded"]
    assert len(monitor.history.buckets) == 1
    await monitor.close()


async def test_without_a_miner_history_and_chain_still_tell(tmp_path: Path) -> None:
    clock, subnet = Clock(), Subnet(1, uids=64)
    monitor = service(tmp_path, clock)
    monitor.on_snapshot(None, subnet.snapshot(clock.now))
    await monitor.close()
    subnet.advance(5)
    subnet.deregister_own()
    seen = observe_offline(tmp_path, OWN, 72, clock.now + 60, subnet.snapshot(clock.now + 60))
    assert [p.registered for p in seen.points] == [True, False]
    diagnosis = diagnose(seen)
    assert diagnosis.cause is Cause.NOT_REGISTERED
    assert "was lost between blocks" in diagnosis.evidence[1]
    assert diagnose(observe_offline(tmp_path / "none", OWN, 72, clock.now)).cause is Cause.UNKNOWN


def test_plain_values(seen: Callable[..., Any]) -> None:
    from streetvision.monitor.rules import judge

    findings = judge(seen(machine=MachineView(disk_free=1, disk_total=2**40)))
    assert findings[0].as_dict()["severity"] == "critical"


# -- the machine -------------------------------------------------------------------------------------------------------


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    view = read_machine(tmp_path / "not" / "made" / "yet")
    assert view.disk_total is not None and 0 < (view.disk_free or 0) <= view.disk_total
    assert view.memory_total is not None and 0 < (view.memory_available or 0) <= view.memory_total
    assert (view.process_bytes or 0) > 2**20
    assert view.gpu_total is None


def fake_root(root: Path, **files: str) -> Path:
    for name, text in {
        "proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 600 kB\n",
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        "sys/fs/cgroup/memory.max": "max",
        "sys/fs/cgroup/memory.current": "0",
        **files,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [
        ("max", "0", (600 * 1024, 1000 * 1024)),
        (str(400 * 1024), str(300 * 1024), (150 * 1024, 400 * 1024)),  # 50 KiB of it is page cache
        (str(9_000 * 1024), "1", (600 * 1024, 1000 * 1024)),  # a limit above the machine is none
    ],
)
def test_a_containers_limit_counts(tmp_path: Path, limit: str, used: str, expected: tuple[int, int]) -> None:
    group = "sys/fs/cgroup/"
    files = {f"{group}memory.max": limit, f"{group}memory.current": used, f"{group}memory.stat": "inactive_file 51200"}
    view = read_machine(tmp_path, root=fake_root(tmp_path, **files))
    assert (view.memory_available, view.memory_total) == expected


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    view = read_machine(tmp_path, root=tmp_path)
    assert (view.memory_available, view.memory_total, view.process_bytes) == (None, None, None)
    gpu = replace(MachineView(), gpu_free=5, gpu_total=10)
    assert read_machine(tmp_path, lambda: gpu, root=tmp_path).gpu_free == 5


# -- the probe ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def server(reply: bytes | None) -> AsyncIterator[str]:
    """Answers anything with `reply`, or stays silent; gives its endpoint."""
    quiet = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if reply is None:
            await quiet.wait()
        else:
            writer.write(reply)
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        quiet.set()
        listening.close()
        await listening.wait_closed()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n" + GREETING, (True, "the axon greets")),
        (b"HTTP/1.1 404 Not Found\r\n\r\nnginx", (False, "something else answers at this address")),
        (None, (False, "no answer within 0.3 s")),
    ],
)
async def test_probe(reply: bytes | None, expected: tuple[bool, str]) -> None:
    async with server(reply) as endpoint:
        probe = await probe_endpoint(endpoint, timeout_s=0.3, now=lambda: 7.0)
    assert (probe.reached, probe.detail, probe.time) == (*expected, 7.0)


async def test_probe_of_a_closed_port_and_of_nonsense() -> None:
    async with server(b"") as endpoint:
        pass
    assert (await probe_endpoint(endpoint)).detail == "connection refused"
    assert not (await probe_endpoint("127.0.0.1:port")).reached
    assert not (await probe_endpoint("[::1]:0")).reached
