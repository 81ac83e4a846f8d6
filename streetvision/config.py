"""Every setting of the miner, declared once: defaults < miner.env < environment < flags.

The flag parser, `miner.env.example` and the settings page of the docs are generated from `Settings` in
settings_io.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streetvision.alert_settings import AlertSettings
from streetvision.errors import ConfigError
from streetvision.setting_types import (
    MOCK_NETWORK,
    choice,
    declare,
    integer,
    number,
    parse_address,
    parse_bool,
    parse_device,
    parse_endpoints,
    parse_hosts,
    parse_network,
    parse_path,
    parse_repo,
)
from streetvision.subnet import SUBNET

METRICS_PORT = 9172
"""Of the ports that Prometheus exporters use by custom (9100 and up), the one that ends in the subnet's number."""

_setting = declare
_PORT = integer(0, 65535)


@dataclass(frozen=True, kw_only=True)
class Settings(AlertSettings):
    """One miner's settings, checked. Build with `settings_io.load_settings`; tests may construct it directly."""

    netuid: int = _setting(
        SUBNET.netuid,
        "--netuid",
        "NETUID",
        f"Subnet to mine: {SUBNET.netuid} on the main network, {SUBNET.test_netuid} on the test network.",
        integer(0, 65535),
    )
    wallet_name: str = _setting("", "--wallet.name", "WALLET_NAME", "Wallet (coldkey) name; empty: `default`.", str)
    wallet_hotkey: str = _setting("", "--wallet.hotkey", "WALLET_HOTKEY", "Hotkey name; empty: `default`.", str)
    wallet_path: Path = _setting(
        Path("~/.bittensor/wallets").expanduser(),
        "--wallet.path",
        "WALLET_PATH",
        "Folder of the wallets. Only the hotkey is read; keep the coldkey elsewhere.",
        parse_path,
    )
    subtensor_network: str = _setting(
        "finney",
        "--subtensor.network",
        "SUBTENSOR_NETWORK",
        "`finney`, `test`, `local`, a ws:// or wss:// address, or `mock` for the in-memory chain.",
        parse_network,
    )
    subtensor_chain_endpoint: str = _setting(
        "",
        "--subtensor.chain_endpoint",
        "SUBTENSOR_CHAIN_ENDPOINT",
        "ws:// or wss:// address of a node; beats --subtensor.network. Several, separated by commas: "
        "the first is used, the others are fallbacks.",
        parse_endpoints,
    )
    axon_port: int = _setting(
        8091,
        "--axon.port",
        ("MINER_AXON_PORT", "BT_AXON_PORT"),
        "TCP port to listen on; 0 takes any free one.",
        _PORT,
    )
    axon_ip: str = _setting(
        "", "--axon.ip", "BT_AXON_IP", "Address to listen on; empty: every IPv4 and IPv6 address.", parse_address
    )
    axon_external_ip: str = _setting(
        "",
        "--axon.external_ip",
        "BT_AXON_EXTERNAL_IP",
        "Address published on the chain; empty: this machine's own public address. Needed behind NAT.",
        parse_address,
    )
    axon_external_port: int = _setting(
        0,
        "--axon.external_port",
        "BT_AXON_EXTERNAL_PORT",
        "Port published on the chain; 0: the port listened on.",
        _PORT,
    )
    axon_max_body_mib: int = _setting(
        32,
        "--axon.max_body_mib",
        "AXON_MAX_BODY_MIB",
        "Largest request body accepted, in MiB.",
        integer(1, 512),
    )
    axon_requests_per_minute: int = _setting(
        600,
        "--axon.requests_per_minute",
        "AXON_REQUESTS_PER_MINUTE",
        "Quota of one hotkey; beyond it the answer is 429.",
        integer(1, 100_000),
    )
    axon_deadline_margin: float = _setting(
        0.5,
        "--axon.deadline_margin",
        "AXON_DEADLINE_MARGIN",
        "Seconds kept back from the caller's timeout for the way home.",
        number(0.0, 5.0),
    )
    blacklist_force_validator_permit: bool = _setting(
        True,
        "--blacklist.force_validator_permit",
        "BLACKLIST_FORCE_VALIDATOR_PERMIT",
        "Answer only hotkeys with a validator permit.",
        parse_bool,
    )
    blacklist_allow_non_registered: bool = _setting(
        False,
        "--blacklist.allow_non_registered",
        "BLACKLIST_ALLOW_NON_REGISTERED",
        "Answer hotkeys that are not in the metagraph too. Anyone can then spend your GPU.",
        parse_bool,
    )
    blacklist_min_stake: float = _setting(
        0.0,
        "--blacklist.min_stake",
        "BLACKLIST_MIN_STAKE",
        "Answer only hotkeys with at least this stake, in alpha.",
        number(0.0, 1e12),
    )
    model: str = _setting(
        "",
        "--model",
        ("MODEL_URL", "MODEL"),
        "A version of the registry such as `1.2.0`, a model on the hub as `hf:owner/name@tag`, a checkpoint folder, or "
        "`bundled` for the small embedded one. A swap holds over restarts while this stays as it is. Empty: the active "
        "version, else `bundled` on the mock network; a public network wants a choice.",
        str,
    )
    model_repo: str = _setting(
        "",
        "--model.repo",
        "MODEL_REPO",
        "Your public repository on Hugging Face, `owner/name`: `streetvision doctor` looks at its model card.",
        parse_repo,
    )
    device: str = _setting(
        "auto",
        "--device",
        "DEVICE",
        "`auto`, `cpu`, `cuda` or `cuda:N`; auto takes a GPU where there is one.",
        parse_device,
    )
    compile: bool = _setting(
        True,
        "--compile",
        "MODEL_COMPILE",
        "Compile the model (torch.compile) where no faster forward knows it. On a CPU this needs a C++ compiler.",
        parse_bool,
    )
    threads: int = _setting(
        0,
        "--threads",
        "MODEL_THREADS",
        "CPU threads of the model; 0: as many as there are cores.",
        integer(0, 1024),
    )
    precision: str = _setting(
        "default",
        "--precision",
        "MODEL_PRECISION",
        "What the model computes in. `default`: bfloat16 on a GPU, float32 on a CPU. `auto`: the quickest that a test "
        "of the model allows. `fp8` (GPU), `int8` (CPU) and `bf16` name one; on a CPU they too serve only if the test "
        "allows. docs/machines.md has more.",
        choice("default", "auto", "bf16", "fp8", "int8"),
    )
    views_max_seconds: float = _setting(
        1.0,
        "--views.max_seconds",
        "VIEWS_MAX_SECONDS",
        "Longest that a request waits for further views and members of an ensemble, once it has a first answer. "
        "0: the first member alone, one view.",
        number(0.0, 8.0),
    )
    rollout_shadow_share: float = _setting(
        1.0,
        "--rollout.shadow_share",
        "ROLLOUT_SHADOW_SHARE",
        "Share of the images that a shadow looks at after the reply, unless its command says another.",
        number(0.001, 1.0),
    )
    rollout_canary_share: float = _setting(
        0.1,
        "--rollout.canary_share",
        "ROLLOUT_CANARY_SHARE",
        "Share of the images that a canary answers, unless its command says another.",
        number(0.001, 1.0),
    )
    rollout_min_samples: int = _setting(
        200,
        "--rollout.min_samples",
        "ROLLOUT_MIN_SAMPLES",
        "Different images on which a canary is compared with the serving model before it may be promoted.",
        integer(1, 100_000),
    )
    rollout_min_agreement: float = _setting(
        0.95,
        "--rollout.min_agreement",
        "ROLLOUT_MIN_AGREEMENT",
        "Share of equal decisions that a canary must surely reach (its lower confidence bound).",
        number(0.0, 0.999),
    )
    rollout_max_error_rate: float = _setting(
        0.01,
        "--rollout.max_error_rate",
        "ROLLOUT_MAX_ERROR_RATE",
        "Share of the images that a canary may fail on.",
        number(0.0, 1.0),
    )
    rollout_max_p99_ratio: float = _setting(
        3.0,
        "--rollout.max_p99_ratio",
        "ROLLOUT_MAX_P99_RATIO",
        "p99 of a canary's forward pass to the serving model's; up to a tenth of the deadline any ratio will do.",
        number(0.1, 1000.0),
    )
    rollout_max_shift: float = _setting(
        0.1,
        "--rollout.max_shift",
        "ROLLOUT_MAX_SHIFT",
        "Mean difference in probability that a canary may show to the serving model's answers.",
        number(0.0, 1.0),
    )
    rollout_keep_minutes: float = _setting(
        10.0,
        "--rollout.keep_minutes",
        "ROLLOUT_KEEP_MINUTES",
        "Minutes for which the former model stays loaded after a switch, so that a rollback is instant.",
        number(0.0, 1e5),
    )
    register: str = _setting(
        "",
        "--register",
        "REGISTER",
        "`burn` or `pow`: register the hotkey at start if it is not registered. Needs the coldkey.",
        choice("", "burn", "pow"),
    )
    register_max_burn: float = _setting(
        0.0,
        "--register.max_burn",
        "REGISTER_MAX_BURN",
        "Highest registration price to pay, in TAO; `--register burn` refuses above it.",
        number(0.0, 1e6),
    )
    register_pow_seconds: float = _setting(
        300.0,
        "--register.pow_seconds",
        "REGISTER_POW_SECONDS",
        "Longest search for a proof of work, in seconds.",
        number(1.0, 3600.0),
    )
    state_dir: Path = _setting(
        Path("~/.streetvision").expanduser(),
        "--state_dir",
        "STREETVISION_STATE_DIR",
        "Folder for what the miner keeps between runs.",
        parse_path,
    )
    log_enabled: bool = _setting(
        True,
        "--log.enabled",
        "LOG_ENABLED",
        "Keep every challenge, its image and its answer in `log/` in the state folder.",
        parse_bool,
    )
    log_max_gib: float = _setting(
        20.0,
        "--log.max_gib",
        "LOG_MAX_GIB",
        "Most that the logged images may take, in GiB; the most certain ones go first.",
        number(0.0, 1e6),
    )
    log_max_days: float = _setting(
        90.0,
        "--log.max_days",
        "LOG_MAX_DAYS",
        "Days after which logged requests and their images are deleted.",
        number(0.01, 36500.0),
    )
    logging_debug: bool = _setting(
        False, "--logging.debug", "LOGGING_DEBUG", "Log every request and every decision.", parse_bool
    )
    logging_json: bool = _setting(
        False, "--logging.json", "LOGGING_JSON", "Log JSON lines, for machines to read.", parse_bool
    )
    metrics_port: int | None = _setting(
        None,
        "--metrics.port",
        "METRICS_PORT",
        f"TCP port of metrics, health checks and the status page; 0: none. Empty: {METRICS_PORT}, and none on the mock "
        "network.",
        _PORT,
    )
    metrics_address: str = _setting(
        "127.0.0.1",
        "--metrics.address",
        "METRICS_ADDRESS",
        "Address of that port. Anything but loopback shows your standing and your validators to whoever reaches it.",
        parse_address,
    )
    metrics_hosts: str = _setting(
        "",
        "--metrics.hosts",
        "METRICS_HOSTS",
        "Names, separated by commas, by which that port may be called beside IP addresses and `localhost`.",
        parse_hosts,
    )
    drain_seconds: float = _setting(
        9.0,
        "--drain_seconds",
        "DRAIN_SECONDS",
        "Longest wait for requests in flight after SIGTERM or SIGINT.",
        number(0.0, 10.0),
    )
    mock_block_time: float = _setting(
        12.0,
        "--mock.block_time",
        "MOCK_BLOCK_TIME",
        "Mock network only: seconds per block.",
        number(0.01, 3600.0),
    )
    mock_tempo: int = _setting(
        360, "--mock.tempo", "MOCK_TEMPO", "Mock network only: blocks per tempo.", integer(1, 65535)
    )
    mock_registered: bool = _setting(
        True,
        "--mock.registered",
        "MOCK_REGISTERED",
        "Mock network only: whether //Miner holds a UID from the start.",
        parse_bool,
    )

    def __post_init__(self) -> None:
        self.check_alerts()
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
