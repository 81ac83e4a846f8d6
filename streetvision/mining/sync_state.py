"""What the last sync left behind, in a small file: a sync with nothing to do is over before FiftyOne is even loaded.

The file is a note, not the truth: whoever finds it wrong removes it, and `--full` does not ask it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streetvision.base.disk import write_atomically

if TYPE_CHECKING:
    from streetvision.mining.pictures import PictureFolder
    from streetvision.prediction_log.reader import LogReader

FOLDER = "mining"
"""In the state folder: pictures for FiftyOne, and training sets."""
DATASET = "streetvision"
"""Name of the FiftyOne dataset unless an operator says another."""
SYNCED = "synced.json"
_DATABASE = ("FIFTYONE_DATABASE_URI", "FIFTYONE_DATABASE_NAME", "FIFTYONE_DATABASE_DIR")


@dataclass(frozen=True, slots=True)
class SyncState:
    """The state of dataset, log and pictures after a sync."""

    database: list[str]
    dataset: str
    log: str
    last_id: int
    last_time: float
    samples: int
    pictures: int
    gone: int
    """Pictures whose image was evicted."""


def database_key(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Which database FiftyOne will use, as far as its environment tells."""
    return [environ.get(name, "") for name in _DATABASE]


def read_sync_state(path: Path) -> SyncState | None:
    """What `write_sync_state` wrote; None where there is none or it is of another version."""
    try:
        return SyncState(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_sync_state(path: Path, state: SyncState) -> None:
    """Keep it, whole or not at all."""
    write_atomically(path, json.dumps(asdict(state)))


def nothing_new(state: SyncState, dataset: str, log: Path, reader: LogReader, pictures: PictureFolder) -> bool:
    """Whether a sync would find everything as the last one left it."""
    if (state.database, state.dataset, state.log) != (database_key(), dataset, str(log.resolve())):
        return False
    row = reader.row(state.last_id)
    same_log = reader.last_id() == state.last_id and row is not None and row.time == state.last_time
    return same_log and pictures.census() == (state.pictures, state.gone)
