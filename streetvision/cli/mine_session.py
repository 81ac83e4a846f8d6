"""What the commands of `streetvision mine` work on: the dataset, the pictures, and what was imported so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streetvision.cli.log_options import log_folder
from streetvision.cli.shared import miner_settings, progress_bar
from streetvision.errors import OperatorError
from streetvision.mining.database import Dataset, FiftyOne, database_sentences, open_fiftyone
from streetvision.mining.pictures import PictureFolder
from streetvision.mining.sync import SyncReport
from streetvision.mining.sync_state import FOLDER, SYNCED
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.prediction_log.reader import LogReader


@dataclass(frozen=True)
class Mine:
    """What every command works on."""

    fo: FiftyOne
    dataset: Dataset
    settings: Settings

    @property
    def folder(self) -> Path:
        """Of all that mining keeps."""
        return self.settings.state_dir / FOLDER

    @property
    def pictures(self) -> PictureFolder:
        """The files that the App shows."""
        return PictureFolder(self.folder / "images")


def sync_once(settings: Settings, name: str, *, full: bool) -> dict[str, Any]:
    """Import what is new, unless a look at the files says that nothing is; the report's fields."""
    from streetvision.base.state_folder import only_one
    from streetvision.mining.sync_state import nothing_new, read_sync_state
    from streetvision.prediction_log.reader import LogReader

    log, folder = log_folder(settings), settings.state_dir / FOLDER
    with LogReader(log) as reader, only_one(folder, "sync"):
        state = None if full else read_sync_state(_sync_state_file(settings))
        if state is not None and nothing_new(state, name, log, reader, PictureFolder(folder / "images")):
            return asdict(SyncReport(last_id=state.last_id, samples=state.samples))
        with database_sentences():
            return asdict(_import(settings, name, reader))


def _import(settings: Settings, name: str, reader: LogReader) -> SyncReport:
    from streetvision.mining.dataset import create_dataset, place_of
    from streetvision.mining.sync import sync as import_new
    from streetvision.mining.sync_state import SyncState, database_key, write_sync_state

    log = log_folder(settings)
    fo = open_fiftyone()
    mine = Mine(fo, create_dataset(fo, name, log), settings)
    total = max(0, reader.last_id() - place_of(mine.dataset).last_id)
    with progress_bar("importing", total) as progress:
        report = import_new(mine.fo, mine.dataset, reader, mine.pictures, progress=progress)
    place = place_of(mine.dataset)
    pictures, gone = mine.pictures.census()
    write_sync_state(
        _sync_state_file(settings),
        SyncState(
            database=database_key(),
            dataset=name,
            log=place.log,
            last_id=place.last_id,
            last_time=place.last_time,
            samples=report.samples,
            pictures=pictures,
            gone=gone,
        ),
    )
    return report


def _sync_state_file(settings: Settings) -> Path:
    return settings.state_dir / FOLDER / SYNCED


@contextmanager
def opened(state_dir: Path | None, name: str) -> Iterator[Mine]:
    """The dataset that `mine sync` made, with the database's troubles as sentences."""
    from streetvision.mining.dataset import open_dataset

    settings = miner_settings(state_dir)
    fo = open_fiftyone()
    with database_sentences():
        try:
            dataset = open_dataset(fo, name)
        except OperatorError:
            _sync_state_file(settings).unlink(missing_ok=True)  # the next sync must look for itself
            raise
        yield Mine(fo, dataset, settings)
