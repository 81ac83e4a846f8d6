"""The oracle of the settings as a giver of pictures: it labels the week's stream where no person did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from streetvision.errors import OperatorError
from streetvision.labelling.asking import AskReport, ask_all
from streetvision.labelling.labelled import OracleLabels
from streetvision.labelling.pictures import LOG, Picture, app_labels, distinct, log_pictures
from streetvision.labelling.reading import TRAINING, read_verdicts
from streetvision.labelling.shots import make_prompt
from streetvision.labelling.store import Cost, asking_store
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.retrain.step import Context
from streetvision.settings.settings import Settings
from streetvision.sources.source import Source

WINDOW = timedelta(days=7)
UNMEASURED = (
    "nothing is learned from the oracle's labels: too few were compared with yours, or too many were wrong; "
    "`streetvision label stats` says which, and `streetvision label run DATASET` asks about pictures that you labelled"
)


class OraclePictures:
    """What it labelled until now, this run's included; where it cannot be asked, what it labelled before."""

    def __init__(self, model: str) -> None:
        self.name = f"the oracle {model}"

    def source(self, context: Context) -> Source:
        """Ask within the bounds; a night is not lost because the oracle is out of reach."""
        try:
            self._ask(context)
        except OperatorError as error:
            context.tell({"event": "warning", "why": f"the oracle was not asked to the end: {error}"})
        context.check_stop()
        verdicts = read_verdicts(context.settings.oracle, context.settings.state_dir)
        if verdicts.pictures and not any(one.trust for one in verdicts.pictures):
            context.tell({"event": "warning", "why": UNMEASURED})
        return OracleLabels(verdicts, LOG)

    def _ask(self, context: Context) -> None:
        settings, state = context.settings.oracle, context.settings.state_dir
        prompt, pictures = make_prompt(settings, state), recent(context.settings, context.clock.now())

        def tell(report: AskReport) -> None:
            done = {"done": report.pictures, "total": len(pictures)}
            context.tell({"event": "progress", "what": self.name, **done})

        with asking_store(state) as store, _counted(context) as count:
            report = ask_all(settings, prompt, store, pictures, stop=context.stop, progress=tell, spend=count)
        if report.ended:
            context.tell({"event": "warning", "why": f"the oracle was not asked to the end: {report.ended}"})


def recent(settings: Settings, now: str) -> list[Picture]:
    """Pictures of the log that no person labelled, the newest first, as many as the settings allow."""
    labels = app_labels(settings.state_dir / TRAINING)
    since = (datetime.fromisoformat(now) - WINDOW).timestamp()
    with LogReader(settings.state_dir / LOG_FOLDER) as reader:
        found = log_pictures(reader, LogFilter(since=since, stored=True), labels)
        return distinct((one for one in found if one.human is None), settings.oracle.retrain_pictures)


@contextmanager
def _counted(context: Context) -> Iterator[_Purse]:
    """Count what is spent as a cost of the run, however the asking ends."""
    purse = _Purse()
    try:
        yield purse
    finally:
        if purse.money:
            context.spend(0.0, purse.money)


class _Purse:
    def __init__(self) -> None:
        self.money = 0.0

    def __call__(self, cost: Cost) -> None:
        self.money += cost.money
