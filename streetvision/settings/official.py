"""Names of the subnet's official miner, and of bittensor's own, that are not ours: what becomes of each.

One table for the reader of flags and variables, for `streetvision init --from` and for docs/migrating.md. A name whose
meaning is the same here is read with a warning. One whose loss changes no answer, nothing that is kept and nobody whom
the miner talks to is passed over with a warning. Every other one ends the start with a sentence that names ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from streetvision.settings.parsing import MOCK_NETWORK, is_repo, parse_bool

WHOM = frozenset(
    {
        "netuid",
        *("wallet.name", "wallet.hotkey", "wallet.path"),
        *("subtensor.network", "subtensor.chain_endpoint"),
        *("axon.port", "axon.ip", "axon.external_ip", "axon.external_port"),
        *("blacklist.force_validator_permit", "blacklist.allow_non_registered", "blacklist.min_stake"),
    }
)
"""Settings (by name) that say whom the miner talks to, and as whom: none that resembles them is passed over."""

WHOM_WORDS = frozenset({"CHAIN", "SUBTENSOR", "NETUID", "NETWORK", "WALLET", "HOTKEY", "COLDKEY", "AXON", "BLACKLIST"})
"""Variables with one of these words in their names say whom the miner talks to; passwords apart."""

_HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")

Read = Callable[[str], dict[str, str]]
"""From an official value to texts of our settings by name; ValueError when it has none."""


@dataclass(frozen=True, slots=True)
class OfficialName:
    """One flag, variables that mean the same, and what ours is."""

    flag: str
    env: tuple[str, ...]
    ours: str | None
    """Name of the setting that takes its place, if there is one."""
    why: str
    """Why it has no effect, or what to do instead; empty where ours means the same."""
    read: Read | None = None
    refused: bool = False
    whom: bool = False
    """Whether it changes whom the miner talks to."""

    @property
    def wants_value(self) -> bool:
        """Whether the flag means nothing alone; what is refused or has no effect is so with a value and without."""
        return self.read not in (None, mock_network) and self.ours != "logging.debug"


def is_unset(text: str) -> bool:
    """Whether an official value says nothing: start_miner.sh passes None for what miner.env leaves out."""
    return text.strip().lower() in {"", "none"}


def is_address(text: str) -> bool:
    """Whether a model is named by an address, as the official MODEL_URL does."""
    return text.startswith(("http://", "https://"))


def _as(name: str) -> Read:
    return lambda text: {name: text}


def mock_network(text: str) -> dict[str, str]:
    """A switch that is on means the network by that name."""
    return {"subtensor.network": MOCK_NETWORK} if parse_bool(text) else {}


def _model_url(text: str) -> dict[str, str]:
    """A repository is where the model is published; anything else is a model by our names."""
    if is_address(text):
        return {"model.repo": _repo_of(text)}
    return {"model.repo": text} if is_repo(text) else {"model": text}


def _repo_of(address: str) -> str:
    parts = urlsplit(address)
    repo = "/".join(parts.path.strip("/").split("/")[:2])
    if parts.hostname not in _HUB_HOSTS or not is_repo(repo):
        raise ValueError("the address is that of no repository such as https://huggingface.co/owner/name")
    return repo


def _same(flag: str, env: tuple[str, ...], ours: str, read: Read | None = None) -> OfficialName:
    return OfficialName(flag, env, ours, "", read or _as(ours), whom=ours in WHOM)


def _no_effect(why: str, *names: tuple[str, tuple[str, ...]]) -> tuple[OfficialName, ...]:
    return tuple(OfficialName(flag, env, None, why) for flag, env in names)


def _refused(flag: str, env: tuple[str, ...], ours: str | None, why: str, *, whom: bool = False) -> OfficialName:
    return OfficialName(flag, env, ours, why, refused=True, whom=whom)


_VALIDATORS = (
    *("--neuron.prompt_type", "--neuron.timeout", "--neuron.num_concurrent_forwards", "--neuron.sample_size"),
    *("--neuron.disable_set_weights", "--neuron.moving_average_alpha", "--neuron.axon_off", "--axon_off"),
    *("--neuron.vpermit_tao_limit", "--neuron.whitelisted_hotkeys", "--proxy.port", "--organic.miners_per_task"),
    *("--organic.deduplication_window_seconds", "--organic.miner_cooldown_seconds", "--organic.max_concurrent_tasks"),
    *("--organic.stagger_delay_min", "--organic.stagger_delay_max"),
)
_DETECTOR = "it picks a detector among the official classes; name the model that answers with --model (docs/models.md)"
_WANDB = "nothing is sent to Weights & Biases"
_VIDEO = "the subnet sends no videos"

NAMES: tuple[OfficialName, ...] = (
    _same("", ("CHAIN_ENDPOINT", "BT_SUBTENSOR_CHAIN_ENDPOINT"), "subtensor.chain_endpoint"),
    _same("", ("BT_SUBTENSOR_NETWORK",), "subtensor.network"),
    _same("--mock", (), "subtensor.network", mock_network),
    _same("--subtensor._mock", ("BT_SUBTENSOR_MOCK",), "subtensor.network", mock_network),
    _same("", ("BT_WALLET_NAME",), "wallet.name"),
    _same("", ("BT_WALLET_HOTKEY",), "wallet.hotkey"),
    _same("", ("BT_WALLET_PATH",), "wallet.path"),
    _same("", ("AXON_PORT",), "axon.port"),
    _same("", ("AXON_IP",), "axon.ip"),
    _same("", ("AXON_EXTERNAL_IP",), "axon.external_ip"),
    _same("", ("AXON_EXTERNAL_PORT",), "axon.external_port"),
    _same("--neuron.image_detector_device", ("IMAGE_DETECTOR_DEVICE",), "device"),
    _same("--neuron.device", ("NEURON_DEVICE",), "device"),
    _same("--model_url", ("MODEL_URL",), "model.repo", _model_url),
    _same("--logging.trace", ("BT_LOGGING_TRACE",), "logging.debug"),
    _same("", ("BT_LOGGING_DEBUG",), "logging.debug"),
    *_no_effect("this is what is logged anyway", ("--logging.info", ("BT_LOGGING_INFO",))),
    *_no_effect("there are no loggers to switch on", ("--logging.enable_third_party_loggers", ())),
    *_no_effect("the miner asks nothing while it serves", ("--no_prompt", ()), ("--no_prompting", ())),
    *_no_effect("the miner never looks for newer versions", ("--no_version_checking", ())),
    *_no_effect("an unknown flag always ends the start", ("--strict", ())),
    *_no_effect("the axon has no pool of workers", ("--axon.max_workers", ("BT_AXON_MAX_WORKERS",))),
    *_no_effect("the metagraph is watched at the chain's pace", ("--neuron.epoch_length", ())),
    *_no_effect(_WANDB, ("--wandb.off", ()), ("--wandb.offline", ()), ("--wandb.notes", ())),
    *_no_effect(_WANDB, ("--wandb.project_name", ()), ("--wandb.entity", ()), ("", ("WANDB_API_KEY",))),
    *_no_effect(_VIDEO, ("--neuron.video_detector", ("VIDEO_DETECTOR",))),
    *_no_effect(_VIDEO, ("--neuron.video_detector_config", ("VIDEO_DETECTOR_CONFIG",))),
    *_no_effect(_VIDEO, ("--neuron.video_detector_device", ("VIDEO_DETECTOR_DEVICE",))),
    *_no_effect("a token of Hugging Face is read from HF_TOKEN in the environment", ("", ("HUGGING_FACE_TOKEN",))),
    *_no_effect("it belongs to a validator", ("", ("VALIDATOR_AXON_PORT", "VALIDATOR_PROXY_PORT"))),
    _refused("--neuron.image_detector", ("IMAGE_DETECTOR",), "model", _DETECTOR),
    _refused("--neuron.image_detector_config", ("IMAGE_DETECTOR_CONFIG",), "model", _DETECTOR),
    _refused("--config", (), None, "settings are read from miner.env: name the file with --env_file", whom=True),
    _refused(
        "--neuron.events_retention_size", (), "log.max_gib", "bound what the prediction log keeps with --log.max_gib"
    ),
    _refused("--neuron.dont_save_events", (), "log.enabled", "switch the prediction log off with --log.enabled false"),
    _refused("--neuron.name", (), "state_dir", "give each miner a folder of its own with --state_dir"),
    _refused(
        *("--logging.logging_dir", ("BT_LOGGING_LOGGING_DIR",), None),
        "the log goes to stderr, and pm2, systemd or Docker keep it (docs/services.md); remove it",
    ),
    _refused(
        *("--logging.record_log", ("BT_LOGGING_RECORD_LOG",), None),
        "the log goes to stderr, and pm2, systemd or Docker keep it (docs/services.md); remove it",
    ),
    _refused(
        *("--proxy.proxy_client_url", ("PROXY_CLIENT_URL",), None),
        "the miner calls no server of the subnet's owner, validators do; remove it",
        whom=True,
    ),
    *(_refused(flag, (), None, "it belongs to a validator; remove it") for flag in _VALIDATORS),
)

BY_FLAG = {entry.flag: entry for entry in NAMES if entry.flag}
BY_VARIABLE = {name: entry for entry in NAMES for name in entry.env}


def of_variable(name: str, text: str) -> OfficialName | None:
    """The entry of a variable; MODEL_URL is also ours and official only where it holds an address."""
    if name == "MODEL_URL" and not is_address(text):
        return None
    return BY_VARIABLE.get(name)


def concerns_whom(name: str) -> bool:
    """Whether a variable that is nobody's looks like one that says whom the miner talks to."""
    words = set(name.upper().split("_"))
    return bool(words & WHOM_WORDS) and "PASSWORD" not in words
