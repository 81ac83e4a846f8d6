"""Command lines of the programs that play the network on one machine, without the Python that runs them."""

from __future__ import annotations

import socket
from pathlib import Path

from streetvision.base.state_folder import MOCK_SOCKET

BLOCK_TIME_S = 0.25
TEMPO_BLOCKS = 20
STARTUP_PATIENCE_S = 300.0
STOP_PATIENCE_S = 16.0


def miner_command(state: Path, *flags: str) -> list[str]:
    """The real miner on the mock network, whose hotkey registers itself; its log is JSON on stderr."""
    script = Path(__file__).parents[2] / "neurons" / "miner.py"
    start = [str(script)] if script.is_file() else ["-m", "streetvision"]
    settings = {
        "--netuid": "72",
        "--subtensor.network": "mock",
        "--mock.registered": "false",
        "--mock.block_time": str(BLOCK_TIME_S),
        "--mock.tempo": str(TEMPO_BLOCKS),
        "--register": "burn",
        "--register.max_burn": "1",
        "--axon.ip": "127.0.0.1",
        "--axon.port": str(_free_port()),
        "--state_dir": str(state),
        "--logging.json": "true",
    }
    return [*start, *(word for pair in settings.items() for word in pair), *flags]


def validator_command(state: Path, period_s: float, *flags: str) -> list[str]:
    """The simulated validator of that miner, which sends a challenge every `period_s`."""
    return ["-m", "streetvision.demo.validator", str(state / MOCK_SOCKET), "--period", str(period_s), *flags]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
