"""What `streetvision init` asks, in which order, and what it suggests from what it finds on this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from streetvision.chain.hotkey_file import hotkey_names
from streetvision.errors import ConfigError, OperatorError
from streetvision.miner.endpoint import own_addresses
from streetvision.models.versions import BUNDLED
from streetvision.registry.registry import open_registry
from streetvision.settings.env_file import Answers, parsed, settings_of
from streetvision.settings.fields import setting
from streetvision.settings.parsing import MOCK_NETWORK
from streetvision.subnet import SUBNET

PRIVATE = (MOCK_NETWORK, "local")


@dataclass(frozen=True)
class Suggestion:
    """What an empty answer means, and what is worth knowing before answering."""

    text: str = ""
    hint: str = ""
    required: bool = False
    """Whether an empty answer will not do."""


@dataclass(frozen=True)
class Question:
    """One setting to ask for."""

    name: str
    """Of the setting's field."""
    words: str
    suggest: Callable[[Answers], Suggestion]
    applies: Callable[[Answers], bool] = lambda _: True


def network_of(answers: Answers) -> str:
    """The network that the answers so far mean."""
    return answers.get("subtensor.network") or setting("subtensor.network").default_text


def _public(answers: Answers) -> bool:
    return network_of(answers) not in PRIVATE


def _default(name: str) -> Callable[[Answers], Suggestion]:
    return lambda _: Suggestion(setting(name).default_text)


def _netuid(answers: Answers) -> Suggestion:
    return Suggestion(str(SUBNET.test_netuid if network_of(answers) == "test" else SUBNET.netuid))


def _wallets(answers: Answers) -> Path:
    return Path(parsed("wallet.path", answers.get("wallet.path") or setting("wallet.path").default_text))


def wallet_names(folder: Path) -> list[str]:
    """Wallets that have at least one hotkey here."""
    try:
        return sorted(path.name for path in folder.iterdir() if hotkey_names(path))
    except OSError:
        return []


def _wallet(answers: Answers) -> Suggestion:
    folder = _wallets(answers)
    return _of_names(wallet_names(folder), f"no wallet with a hotkey in {folder}: copy the hotkey's file there later")


def _hotkey(answers: Answers) -> Suggestion:
    wallet = _wallets(answers) / (answers.get("wallet.name") or "default")
    return _of_names(hotkey_names(wallet), f"no hotkey in {wallet / 'hotkeys'} yet")


def _of_names(names: list[str], none: str) -> Suggestion:
    if not names:
        return Suggestion("default", none)
    return Suggestion(names[0], f"here: {', '.join(names)}" if len(names) > 1 else "")


def _address(_: Answers) -> Suggestion:
    own = [address for address in own_addresses() if ipaddress.ip_address(address).is_global]
    if own:
        return Suggestion("", f"empty: {own[0]}, this machine's own")
    return Suggestion("", "this machine has no public address of its own: name your router's", required=True)


def _model(answers: Answers) -> Suggestion:
    folder = parsed("state_dir", answers.get("state_dir") or setting("state_dir").default_text)
    registry = open_registry(folder)
    try:
        versions = [found.version for found in registry.versions() if found.servable and found.version != BUNDLED]
        active = registry.active()
    except OperatorError:
        versions, active = [], None
    if versions:
        return Suggestion(active or versions[-1], f"in the registry: {', '.join(versions)}")
    hint = "a version, hf:owner/name@tag or a folder; without one the miner will not start (docs/models.md)"
    return Suggestion("" if _public(answers) else BUNDLED, hint if _public(answers) else "")


QUESTIONS = (
    Question(
        "subtensor.network",
        "Network: finney, test, local, mock, or a node's ws:// or wss:// address",
        _default("subtensor.network"),
    ),
    Question("netuid", "Subnet", _netuid),
    Question("wallet.name", "Wallet (coldkey) name", _wallet, lambda answers: network_of(answers) != MOCK_NETWORK),
    Question("wallet.hotkey", "Hotkey name", _hotkey, lambda answers: network_of(answers) != MOCK_NETWORK),
    Question("axon.port", "Port that validators call", _default("axon.port")),
    Question("axon.external_ip", "Public address", _address, _public),
    Question("model", "Model", _model),
    Question(
        "model.repo", "Your Hugging Face repository, owner/name; empty: none yet", lambda _: Suggestion(), _public
    ),
    Question("device", "Device: auto, cpu, cuda or cuda:N", _default("device")),
    Question(
        "alerts.discord_url",
        "Discord webhook for alerts; empty: none (docs/alerts.md has the others)",
        lambda _: Suggestion(),
        _public,
    ),
)
"""In this order: later suggestions build on earlier answers."""


def check(name: str, text: str, suggestion: Suggestion) -> None:
    """Raise ConfigError when this answer will not do."""
    if text:
        parsed(name, text)
    elif suggestion.required:
        raise ConfigError(f"{setting(name).flag}: an answer is needed here, {suggestion.hint}")


def complete(given: Answers, ask: Callable[[Question, Suggestion], str]) -> dict[str, str]:
    """All answers: those given, and what `ask` returns for each question that applies and was not given.

    ConfigError when an answer is wrong or two contradict each other.
    """
    answers = dict(given)
    for question in QUESTIONS:
        if question.name in answers or not question.applies(answers):
            continue
        answers[question.name] = ask(question, question.suggest(answers))
    settings_of(answers)
    return {name: text for name, text in answers.items() if text}


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Settings of a former file that the new one changes or drops, by flag."""
    return [setting(name).flag for name in before if before[name] != after.get(name)]
