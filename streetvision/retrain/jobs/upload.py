"""Publish a version on Hugging Face, with the subnet's card and a tag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streetvision.hub.client import Hub
from streetvision.hub.files import RepoRef
from streetvision.hub.publish import publish
from streetvision.miner.from_settings import open_wallet
from streetvision.registry.registry import open_registry
from streetvision.retrain.child import Tell
from streetvision.settings.network import SubtensorSettings, WalletSettings
from streetvision.settings.settings import Settings
from streetvision.subnet import PayWindow


def run(request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]) -> dict[str, Any]:
    """Where the version is now; one that was uploaded before is left as it is."""
    registry = open_registry(Path(request["state_dir"]))
    version = registry.servable(request["version"])
    hub, tag = Hub(), f"v{version.version}"
    if hub.find(RepoRef(request["repo"], tag)) is not None:
        return {"url": f"{hub.endpoint}/{request['repo']}/tree/{tag}"}
    plan = publish(
        version,
        request["repo"],
        hotkey=open_wallet(_settings(request)).ss58_address,
        dry_run=False,
        find=lambda name: registry.get(name).folder,
        hub=hub,
        window=PayWindow(*request["pay_window"]),
    )
    return {"url": plan.url}


def _settings(request: Mapping[str, Any]) -> Settings:
    """As far as the wallet needs them."""
    wallet, file = dict(request["wallet"]), request["wallet"]["hotkey_password_file"]
    wallet |= {"path": Path(wallet["path"]), "hotkey_password_file": Path(file) if file else None}
    return Settings(wallet=WalletSettings(**wallet), subtensor=SubtensorSettings(network=request["network"]))
