"""The real process from start to shutdown: what an operator sees when it works and when it cannot."""

from __future__ import annotations

import asyncio
import fcntl
import http.client
import os
import shlex
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streetvision.chain.mock.bridge_client import MockBridgeClient

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

Start = Callable[..., Any]
UNREGISTERED = ("--mock.registered", "false")


def test_start_serve_and_drain(start_miner: Start, caller: Any, port: int, jpeg: bytes) -> None:
    miner = start_miner("--axon.port", str(port), "--axon.ip", "127.0.0.1", fresh=True)
    assert miner.wait_for("ready").startswith("ready: UID 4 on netuid 72, validators call 127.0.0.1:")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()

    status, body = caller("Bob").ask(port, jpeg)
    assert status == 200
    assert 0.0 <= body["prediction"] <= 1.0
    assert caller("Dave").ask(port, jpeg)[0] == 403  # registered, no permit
    assert caller("Eve").ask(port, jpeg)[0] == 403  # not registered
    assert caller("Bob").ask(port, b"not an image")[0] == 400
    assert caller("Bob").ask(port, jpeg)[0] == 200

    code, seconds = miner.terminate()
    assert code == 0
    assert seconds < 15
    order = ["hotkey 5", "chain: connected", "chain: metagraph", "model: loading", "model: tiny", "The axon serves",
             "endpoint: published", "ready", "answered UID 1", "SIGTERM", "stopped"]  # fmt: skip
    messages = miner.messages()
    positions = [next(i for i, m in enumerate(messages) if m.startswith(start)) for start in order]
    assert positions == sorted(positions)
    assert not miner.socket.exists()


def test_a_request_in_flight_at_sigterm_is_answered(start_miner: Start, caller: Any, port: int, jpeg: bytes) -> None:
    miner = start_miner("--axon.port", str(port), "--axon.ip", "127.0.0.1")
    miner.wait_for("ready")
    connection, rest = caller("Bob").begin(port, jpeg)
    miner.process.send_signal(signal.SIGTERM)
    miner.wait_for("SIGTERM")
    connection.send(rest)
    assert connection.getresponse().status == 200
    connection.close()
    assert miner.exit_code() == 0


def test_a_miner_whose_log_nobody_reads_serves_and_ends(
    start_miner: Start, caller: Any, port: int, jpeg: bytes
) -> None:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    os.write(write, b"x" * 4096)
    miner = start_miner("--axon.port", str(port), "--axon.ip", "127.0.0.1", "--logging.debug", "true", output=write)
    os.close(write)
    deadline = time.monotonic() + 90
    while answer_of(caller("Bob"), port, jpeg) != 200:
        assert miner.process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert [caller("Bob").ask(port, jpeg)[0] for _ in range(20)] == [200] * 20
    code, seconds = miner.terminate()
    assert code == 0
    assert seconds < 15
    os.close(read)


def answer_of(validator: Any, port: int, jpeg: bytes) -> int | None:
    try:
        return int(validator.ask(port, jpeg)[0])
    except OSError:
        return None


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_stopped_while_the_model_loads(start_miner: Start, port: int, name: signal.Signals) -> None:
    miner = start_miner("--axon.port", str(port))
    miner.wait_for("model: loading")
    code, seconds = miner.terminate(name)
    assert code == 0
    assert seconds < 15
    # Not necessarily last: the thread that still compiles may have a word after it.
    assert "stopped before the miner was ready" in miner.messages()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after_s", [0.3, 1.5])
def test_stopped_while_importing(start_miner: Start, port: int, name: signal.Signals, after_s: float) -> None:
    miner = start_miner("--axon.port", str(port), fresh=True)
    time.sleep(after_s)
    assert miner.terminate(name)[0] == 0
    assert "stopped before the miner was ready" in miner.text
    assert "Traceback" not in miner.text


def test_nothing_is_paid_before_everything_else_is_right(start_miner: Start, tmp_path: Path) -> None:
    flags = (*UNREGISTERED, "--register", "burn", "--register.max_burn", "1")
    miner = start_miner(*flags, "--model", str(tmp_path / "typo"), model=False)
    assert miner.exit_code() == 1
    assert "is not a folder" in miner.text
    assert "registered 5" not in miner.text


def test_the_registration_command_works_as_it_is_printed(start_miner: Start, port: int) -> None:
    refused = start_miner("--axon.port", str(port), *UNREGISTERED)
    assert refused.exit_code() == 1
    command = shlex.split(refused.lines()[-1]["message"].partition("Register with: ")[2])
    assert command[:2] == ["python", "neurons/miner.py"]
    miner = start_miner(*command[2:], model=False)
    assert miner.wait_for("ready").endswith(f":{port}")
    assert miner.terminate()[0] == 0


def test_early_lines_are_json_too(start_miner: Start, tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_text("AXON_REQUEST_PER_MINUTE=50\n")
    miner = start_miner("--axon.ip", "nowhere")
    assert miner.exit_code() == 1
    assert miner.lines()[-1]["level"] == "ERROR"


def test_registration_by_burn_then_ready(start_miner: Start, port: int) -> None:
    miner = start_miner("--axon.port", str(port), *UNREGISTERED, "--register", "burn", "--register.max_burn", "1")
    assert "as UID 32 (burn)" in miner.wait_for("registered")
    assert miner.wait_for("ready").startswith("ready: UID 32")
    assert miner.terminate()[0] == 0


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (UNREGISTERED, "python neurons/miner.py --netuid 72"),
        ((*UNREGISTERED, "--register", "burn", "--register.max_burn", "0.01"), "above the maximum of 0.01"),
        ((*UNREGISTERED, "--register", "pow"), "takes no proof of work"),
        (("--register", "burn"), "--register.max_burn"),
        (("--axon.port", "99999"), "99999 is not between"),
        (("--device", "tpu"), "use auto, cpu or cuda"),
        (("--no-such-flag",), "--no-such-flag is no flag of the miner"),
    ],
)  # fmt: skip
def test_it_refuses_to_start_with_one_sentence(start_miner: Start, flags: tuple[str, ...], says: str) -> None:
    miner = start_miner(*flags)
    assert miner.exit_code() == 1
    last = miner.lines()[-1]
    assert last["level"] == "ERROR"
    assert says in last["message"]
    assert "Traceback" not in miner.text


def test_a_public_network_wants_a_model(start_miner: Start) -> None:
    miner = start_miner(model=False, network="finney")
    assert miner.exit_code() == 1
    assert "insist with --model bundled" in miner.text


def test_a_checkpoint_that_is_none_is_refused(start_miner: Start, tmp_path: Path) -> None:
    miner = start_miner("--model", str(tmp_path), model=False)
    assert miner.exit_code() == 1
    assert "has no model.json" in miner.text


def test_a_taken_port_is_noticed(start_miner: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        miner = start_miner("--axon.ip", "127.0.0.1", "--axon.port", str(other.getsockname()[1]))
        assert miner.exit_code() == 1
    assert "in use" in miner.lines()[-1]["message"]


def test_a_dead_chain_endpoint_is_a_sentence(start_miner: Start, tmp_path: Path, port: int) -> None:
    from bittensor import Wallet

    Wallet("cold", "hot", str(tmp_path / "wallets")).create_new_hotkey(use_password=False, overwrite=True)
    wallet = ("--wallet.name", "cold", "--wallet.hotkey", "hot", "--wallet.path", str(tmp_path / "wallets"))
    miner = start_miner(*wallet, "--subtensor.chain_endpoint", f"ws://127.0.0.1:{port}", network="local")
    assert miner.exit_code() == 1
    assert "No chain endpoint answers" in miner.lines()[-1]["message"]


def test_deregistered_while_running_it_waits_and_resumes(
    start_miner: Start, caller: Any, port: int, jpeg: bytes
) -> None:
    miner = start_miner("--axon.port", str(port), "--axon.ip", "127.0.0.1", "--mock.block_time", "0.2")
    miner.wait_for("ready")
    bob = caller("Bob")
    hotkey = bob.receiver

    async def deregister() -> None:
        async with MockBridgeClient(miner.socket) as bridge:
            await bridge.deregister(hotkey)

    async def register_again() -> None:
        async with MockBridgeClient(miner.socket) as bridge:
            await bridge.register(hotkey, hotkey)

    assert bob.ask(port, jpeg)[0] == 200
    asyncio.run(deregister())
    assert "--register burn" in miner.wait_for("hotkey " + hotkey + " lost its UID")
    status, body = bob.ask(port, jpeg)
    assert status == 503
    assert "deregistered" in body["message"]
    asyncio.run(register_again())
    miner.wait_for("registered again as UID")
    assert bob.ask(port, jpeg)[0] == 200
    assert miner.terminate()[0] == 0


def test_settings_come_from_the_file_in_the_working_folder(start_miner: Start, tmp_path: Path, port: int) -> None:
    (tmp_path / "miner.env").write_text(f"MINER_AXON_PORT={port}\nBT_AXON_IP=127.0.0.1\nAXON_REQUEST_PER_MINUTE=50\n")
    miner = start_miner()
    assert miner.wait_for("ready").endswith(f"127.0.0.1:{port}")
    assert "did you mean AXON_REQUESTS_PER_MINUTE" in miner.text
    assert miner.terminate()[0] == 0
