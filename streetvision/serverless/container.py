"""What runs in a container, without Modal: the models of a volume, and the answer to one call.

The volume holds `VERSION/FINGERPRINT/` with the two files of a checkpoint.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from streetvision.engine.transport import ModelPin, RemoteFailure
from streetvision.engine.types import Runner
from streetvision.errors import OperatorError
from streetvision.models.folder import CONFIG_FILE, read_config
from streetvision.models.versions import BUNDLED, is_version
from streetvision.runner.model_host import ModelHost
from streetvision.runner.remote import pin_of

KEPT = 2
"""Models in memory: the one that serves, and a canary or the one before."""
BEAT_S = 1.0

Opening = Callable[[Path], Runner]
Parts = tuple[dict[str, Any], bytes]

logger = logging.getLogger(__name__)


async def warm_host(
    volume: Path, opening: Opening, *, name: str = "", refresh: Callable[[], None] = lambda: None
) -> ModelHost:
    """A host with the newest models loaded, so that a snapshot of the memory holds them; one that is amiss is told.

    `refresh` shows what was put onto the volume since the container started.
    """
    host = ModelHost(partial(open_version, volume, opening, refresh), most=KEPT, name=name)
    for version in newest_versions(volume, KEPT):
        try:
            await host.open(version)
        except RemoteFailure as failure:
            logger.warning("version %s cannot be warmed: %s", version, failure)
    return host


async def watch(host: ModelHost, give_up: Callable[[str], None]) -> None:
    """Find a forward pass that hangs, and give up where the device is lost: another container may have another."""
    while host.lost is None:
        host.beat()
        await asyncio.sleep(BEAT_S)
    give_up(host.lost)


def newest_versions(volume: Path, most: int) -> list[str]:
    """Versions on the volume, the latest upload last."""
    found = [path for path in volume.iterdir() if path.is_dir()] if volume.is_dir() else []
    return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime)][-most:]


def open_version(volume: Path, opening: Opening, refresh: Callable[[], None], version: str) -> tuple[Runner, ModelPin]:
    """Load a version and say which weights it has; raises OperatorError."""
    folder = _folder(volume, version)
    if folder is None:
        refresh()
        folder = _folder(volume, version)
    if folder is None:
        raise OperatorError("deploy it: streetvision modal deploy")
    pin = pin_of(version, read_config(folder))
    if pin.fingerprint != folder.name:
        raise OperatorError("its files are not those that were deployed: deploy it again")
    return opening(folder), pin


def _folder(volume: Path, version: str) -> Path | None:
    """Where a version lies; the latest upload where there are several."""
    if not (version == BUNDLED or is_version(version)):
        return None
    found = list((volume / version).glob(f"*/{CONFIG_FILE}"))
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None
