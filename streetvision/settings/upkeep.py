"""The settings of what goes on beside serving: registration, what is kept, said and shown, and the rehearsal."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.errors import ConfigError
from streetvision.settings.parsing import declare, integer, number, one_of, parse_address, parse_bool, parse_hosts

METRICS_PORT = 9172
"""Of the ports that Prometheus exporters use by custom (9100 and up), the one that ends in the subnet's number."""


@dataclass(frozen=True, kw_only=True)
class RegisterSettings:
    """Whether and at which price the hotkey is registered: `--register` and `--register.*`."""

    choice: str = declare(
        "",
        "Register the hotkey at start if it has no UID: `burn` (pay) or `pow` (proof of work). Needs the coldkey.",
        one_of("", "burn", "pow"),
    )
    max_burn: float = declare(
        0.0, "Highest price to pay for a registration, in TAO; required by `--register burn`.", number(0.0, 1e6)
    )
    pow_seconds: float = declare(300.0, "Most seconds to search for a proof of work.", number(1.0, 3600.0))

    def __post_init__(self) -> None:
        if self.choice == "burn" and self.max_burn <= 0:
            raise ConfigError("--register burn spends TAO: say how much at most with --register.max_burn TAO")


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """What the prediction log keeps: `--log.*`."""

    enabled: bool = declare(
        True, "Keep every challenge, its image and its answer in `log/` in the state folder.", parse_bool
    )
    max_gib: float = declare(
        20.0,
        "Disk space for logged images, in GiB; when it is full, images answered with most certainty are deleted first.",
        number(0.0, 1e6),
    )
    max_days: float = declare(
        90.0, "Days after which logged requests and their images are deleted.", number(0.01, 36500.0)
    )


@dataclass(frozen=True, kw_only=True)
class LoggingSettings:
    """What the miner says on stderr: `--logging.*`."""

    debug: bool = declare(False, "Log every request and decision.", parse_bool)
    json: bool = declare(False, "Log as JSON lines.", parse_bool)


@dataclass(frozen=True, kw_only=True)
class MetricsSettings:
    """The operator's port: `--metrics.*`."""

    port: int | None = declare(
        None,
        f"TCP port of metrics, health checks and the status page; 0: none. Empty: {METRICS_PORT}, and none on the mock "
        "network.",
        integer(0, 65535),
    )
    address: str = declare(
        "127.0.0.1",
        "Address that --metrics.port listens on. Beyond loopback, all who reach it see your standing and validators.",
        parse_address,
    )
    hosts: str = declare(
        "",
        "Host names, separated by commas, under which --metrics.port answers, besides IP addresses and `localhost`.",
        parse_hosts,
    )


@dataclass(frozen=True, kw_only=True)
class MockSettings:
    """The in-memory chain: `--mock.*`."""

    block_time: float = declare(12.0, "Mock network only: seconds per block.", number(0.01, 3600.0))
    tempo: int = declare(360, "Mock network only: blocks per tempo.", integer(1, 65535))
    registered: bool = declare(True, "Mock network only: whether the miner holds a UID from the start.", parse_bool)
