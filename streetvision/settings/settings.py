"""Every setting of the miner, declared once: defaults < miner.env < environment < flags.

The flag parser (setting_flags.py), `miner.env.example` and the settings page of the docs (settings_io.py) are generated
from `Settings`, in the order of its parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streetvision.errors import ConfigError
from streetvision.settings.alerts import AlertSettings
from streetvision.settings.model import ModelSettings
from streetvision.settings.network import NetworkSettings
from streetvision.settings.parsing import (
    MOCK_NETWORK,
    choice,
    declare,
    integer,
    number,
    parse_address,
    parse_bool,
    parse_hosts,
    parse_path,
)

METRICS_PORT = 9172
"""Of the ports that Prometheus exporters use by custom (9100 and up), the one that ends in the subnet's number."""


@dataclass(frozen=True, kw_only=True)
class UpkeepSettings:
    """Registration, what is kept and shown, and how the miner ends; part of Settings."""

    register: str = declare(
        "",
        "--register",
        "REGISTER",
        "Register the hotkey at start if it has no UID: `burn` (pay) or `pow` (proof of work). Needs the coldkey.",
        choice("", "burn", "pow"),
    )
    register_max_burn: float = declare(
        0.0,
        "--register.max_burn",
        "REGISTER_MAX_BURN",
        "Highest price to pay for a registration, in TAO; required by `--register burn`.",
        number(0.0, 1e6),
    )
    register_pow_seconds: float = declare(
        300.0,
        "--register.pow_seconds",
        "REGISTER_POW_SECONDS",
        "Most seconds to search for a proof of work.",
        number(1.0, 3600.0),
    )
    state_dir: Path = declare(
        Path("~/.streetvision").expanduser(),
        "--state_dir",
        "STREETVISION_STATE_DIR",
        "State folder: models, logs and history that the miner keeps between runs.",
        parse_path,
    )
    log_enabled: bool = declare(
        True,
        "--log.enabled",
        "LOG_ENABLED",
        "Keep every challenge, its image and its answer in `log/` in the state folder.",
        parse_bool,
    )
    log_max_gib: float = declare(
        20.0,
        "--log.max_gib",
        "LOG_MAX_GIB",
        "Disk space for logged images, in GiB; when it is full, images answered with most certainty are deleted first.",
        number(0.0, 1e6),
    )
    log_max_days: float = declare(
        90.0,
        "--log.max_days",
        "LOG_MAX_DAYS",
        "Days after which logged requests and their images are deleted.",
        number(0.01, 36500.0),
    )
    logging_debug: bool = declare(
        False, "--logging.debug", "LOGGING_DEBUG", "Log every request and decision.", parse_bool
    )
    logging_json: bool = declare(False, "--logging.json", "LOGGING_JSON", "Log as JSON lines.", parse_bool)
    metrics_port: int | None = declare(
        None,
        "--metrics.port",
        "METRICS_PORT",
        f"TCP port of metrics, health checks and the status page; 0: none. Empty: {METRICS_PORT}, and none on the mock "
        "network.",
        integer(0, 65535),
    )
    metrics_address: str = declare(
        "127.0.0.1",
        "--metrics.address",
        "METRICS_ADDRESS",
        "Address that --metrics.port listens on. Beyond loopback, all who reach it see your standing and validators.",
        parse_address,
    )
    metrics_hosts: str = declare(
        "",
        "--metrics.hosts",
        "METRICS_HOSTS",
        "Host names, separated by commas, under which --metrics.port answers, besides IP addresses and `localhost`.",
        parse_hosts,
    )
    drain_seconds: float = declare(
        9.0,
        "--drain_seconds",
        "DRAIN_SECONDS",
        "Most seconds to wait for running requests after SIGTERM or SIGINT.",
        number(0.0, 10.0),
    )
    mock_block_time: float = declare(
        12.0,
        "--mock.block_time",
        "MOCK_BLOCK_TIME",
        "Mock network only: seconds per block.",
        number(0.01, 3600.0),
    )
    mock_tempo: int = declare(
        360, "--mock.tempo", "MOCK_TEMPO", "Mock network only: blocks per tempo.", integer(1, 65535)
    )
    mock_registered: bool = declare(
        True,
        "--mock.registered",
        "MOCK_REGISTERED",
        "Mock network only: whether the miner holds a UID from the start.",
        parse_bool,
    )


@dataclass(frozen=True, kw_only=True)
class Settings(AlertSettings, UpkeepSettings, ModelSettings, NetworkSettings):
    """One miner's settings, checked. Build with `settings_io.load_settings`; tests may construct it directly."""

    def __post_init__(self) -> None:
        self.check_alerts()
        self.check_model()
        if self.register == "burn" and self.register_max_burn <= 0:
            raise ConfigError("--register burn spends TAO: say how much at most with --register.max_burn TAO")
        if self.is_mock and self.subtensor_chain_endpoint:
            raise ConfigError(
                "the mock network has no endpoint: drop --subtensor.chain_endpoint or name a real network"
            )

    @property
    def is_mock(self) -> bool:
        """Whether the miner runs on the in-memory chain."""
        return self.subtensor_network == MOCK_NETWORK

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Chain endpoints in order of preference; empty: the network's own."""
        return tuple(part.strip() for part in self.subtensor_chain_endpoint.split(",") if part.strip())

    @property
    def http_port(self) -> int:
        """Port of metrics, health and status; 0: none. Rehearsals and tests beside a miner must not take its port."""
        if self.metrics_port is None:
            return 0 if self.is_mock else METRICS_PORT
        return self.metrics_port
