"""Versions that were rolled back, why and by whom: they take no traffic by themselves, nor by hand after sickness."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from streetvision.base.disk import sentences, write_atomically
from streetvision.errors import reason

BLOCKLIST_FILE = "bad.json"
"""Name in the registry's folder."""
MAX_BLOCKED = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BlockedVersion:
    """Why a version is bad."""

    why: str
    at: str
    """ISO 8601 in UTC."""
    sha256: str
    """Of the content that was bad: another model under the same version is not."""
    by: str = ""
    """`operator`, `gates` or `health`; empty in files of earlier releases."""


class Blocklist:
    """The blocked versions on disk, read once and replaced whole; a restart does not forget them."""

    def __init__(self, path: Path) -> None:
        """A damaged file is logged, and set aside at the next `put`: an old one must not keep the miner down."""
        self._path = path
        self._blocked, self._damaged = _read(path)

    def get(self, version: str, sha256: str) -> BlockedVersion | None:
        """Why that content is blocked, if it is."""
        blocked = self._blocked.get(version)
        return blocked if blocked is not None and blocked.sha256 == sha256 else None

    def all(self) -> dict[str, BlockedVersion]:
        """Every blocked version."""
        return dict(self._blocked)

    def put(self, version: str, blocked: BlockedVersion) -> None:
        """Block a version. It holds in memory even where the disk fails, which raises OperatorError."""
        self._blocked.pop(version, None)
        self._blocked[version] = blocked
        self._write()

    def clear(self, version: str) -> None:
        """Block a version no more; OperatorError when the disk fails."""
        if self._blocked.pop(version, None) is not None:
            self._write()

    def _write(self) -> None:
        kept = list(self._blocked.items())[-MAX_BLOCKED:]
        with sentences("Marking the model version"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._damaged:
                self._path.replace(self._path.with_name(f"{self._path.name}.damaged"))
                self._damaged = False
            write_atomically(self._path, json.dumps({name: asdict(blocked) for name, blocked in kept}, indent=2) + "\n")


def _read(path: Path) -> tuple[dict[str, BlockedVersion], bool]:
    """The blocked versions, and whether the file is damaged. Readers beside the miner come here: nothing changes."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        blocked = {str(version): BlockedVersion(**fields) for version, fields in data.items()}
    except FileNotFoundError:
        return {}, False
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        logger.error(
            "models: %s is damaged (%s): versions that were rolled back are no longer marked", path, reason(error)
        )
        return {}, True
    return blocked, False
