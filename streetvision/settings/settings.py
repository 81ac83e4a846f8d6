"""Every setting of the miner, declared once: defaults < miner.env < environment < flags.

A flag is the way to its value: `--axon.requests_per_minute` is `settings.axon.requests_per_minute`, and `--netuid` is
`settings.netuid`. Three flags have the name of a group: `--model` is `settings.model.choice`, and so with `--register`
and `--backend`. The variable is the flag in capitals (`AXON_REQUESTS_PER_MINUTE`) where `env` says no other.

The groups stand in network.py, model.py, backend.py, modal.py, upkeep.py, alerts.py, retrain.py, oracle.py,
synthetic.py and video.py. A new setting is one `declare` in its group: flag, variable, `miner.env.example` and
docs/settings.md follow from it, in the order of declaration. A room takes its default from its group
(`AxonSettings.port`); what a room without settings needs too stands in base/defaults.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from streetvision.base.defaults import PRECISIONS, RUNNERS
from streetvision.errors import ConfigError
from streetvision.settings.alerts import AlertSettings
from streetvision.settings.backend import BackendSettings, RaySettings
from streetvision.settings.modal import ModalSettings
from streetvision.settings.model import EngineSettings, ModelSettings, RolloutSettings, ViewSettings
from streetvision.settings.network import AxonSettings, BlacklistSettings, SubtensorSettings, WalletSettings
from streetvision.settings.oracle import OracleSettings
from streetvision.settings.parsing import declare, integer, number, one_of, parse_bool, parse_device, parse_path
from streetvision.settings.retrain import RetrainSettings
from streetvision.settings.synthetic import SyntheticSettings
from streetvision.settings.upkeep import (
    METRICS_PORT,
    LoggingSettings,
    LogSettings,
    MetricsSettings,
    MockSettings,
    RegisterSettings,
)
from streetvision.settings.video import VideoSettings
from streetvision.subnet import SUBNET


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One miner's settings, checked. `load_settings` reads an operator's; code and tests may build it from groups."""

    netuid: int = declare(
        SUBNET.netuid,
        f"Subnet to mine: {SUBNET.netuid} on the main network, {SUBNET.test_netuid} on the test network.",
        integer(0, 65535),
    )
    wallet: WalletSettings = field(default_factory=WalletSettings)
    subtensor: SubtensorSettings = field(default_factory=SubtensorSettings)
    axon: AxonSettings = field(default_factory=AxonSettings)
    blacklist: BlacklistSettings = field(default_factory=BlacklistSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    device: str = declare("auto", "`auto`, `cpu`, `cuda` or `cuda:N`; `auto` uses a GPU if there is one.", parse_device)
    compile: bool = declare(
        True,
        "Compile models that the miner has no faster code for (torch.compile). On a CPU this needs a C++ compiler.",
        parse_bool,
        env="MODEL_COMPILE",
    )
    threads: int = declare(
        0,
        "CPU threads that the model computes on; 0: one per core, within a container's CPU limit.",
        integer(0, 1024),
        env="MODEL_THREADS",
    )
    precision: str = declare(
        PRECISIONS[0],
        "Number format that the model computes in. `default`: bfloat16 on a GPU, float32 on a CPU. `auto`: the "
        "fastest one in which the model passes its test. `fp8` (GPU), `int8` (CPU) and `bf16` name one; on a CPU it "
        "is used only if the model passes. See docs/machines.md.",
        one_of(*PRECISIONS),
        env="MODEL_PRECISION",
    )
    runner: str = declare(
        RUNNERS[0],
        "What runs the model. `openvino` is for CPUs and needs that extra; `torch` runs everywhere. `max` is an "
        "experiment (extra `max`): it compiles for minutes at its first start. "
        "`auto`: OpenVINO on a CPU where it is installed, else torch. `streetvision bench` times them on this machine.",
        one_of(*RUNNERS),
        env="MODEL_RUNNER",
    )
    backend: BackendSettings = field(default_factory=BackendSettings)
    ray: RaySettings = field(default_factory=RaySettings)
    modal: ModalSettings = field(default_factory=ModalSettings)
    views: ViewSettings = field(default_factory=ViewSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    rollout: RolloutSettings = field(default_factory=RolloutSettings)
    register: RegisterSettings = field(default_factory=RegisterSettings)
    state_dir: Path = declare(
        Path("~/.streetvision").expanduser(),
        "State folder: models, logs and history that the miner keeps between runs.",
        parse_path,
        env="STREETVISION_STATE_DIR",
    )
    log: LogSettings = field(default_factory=LogSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    drain_seconds: float = declare(
        9.0, "Most seconds to wait for running requests after SIGTERM or SIGINT.", number(0.0, 10.0)
    )
    mock: MockSettings = field(default_factory=MockSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    retrain: RetrainSettings = field(default_factory=RetrainSettings)
    oracle: OracleSettings = field(default_factory=OracleSettings)
    synthetic: SyntheticSettings = field(default_factory=SyntheticSettings)
    video: VideoSettings = field(default_factory=VideoSettings)

    def __post_init__(self) -> None:
        if self.is_mock and self.subtensor.chain_endpoint:
            raise ConfigError(
                "the mock network has no endpoint: drop --subtensor.chain_endpoint or name a real network"
            )

    @property
    def is_mock(self) -> bool:
        """Whether the miner runs on the in-memory chain."""
        return self.subtensor.is_mock

    @property
    def http_port(self) -> int:
        """Port of metrics, health and status; 0: none. Rehearsals and tests beside a miner must not take its port."""
        if self.metrics.port is None:
            return 0 if self.is_mock else METRICS_PORT
        return self.metrics.port
