"""A LabelOracle that asks a chat completions API, within the operator's bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from loguru import logger

from streetvision.labelling.asking import ask_all
from streetvision.labelling.calibration import Measured
from streetvision.labelling.oracle import LabelQuestion, Opinion
from streetvision.labelling.pictures import ASKED, Picture
from streetvision.labelling.reading import verdicts_in
from streetvision.labelling.shots import make_prompt
from streetvision.labelling.store import LabellingStore, asking_store
from streetvision.labelling.verdicts import opinion_of
from streetvision.settings.oracle import OracleSettings


class ChatOracle:
    """Asks once about each picture, ever; what it cannot ask within the bounds has no opinion."""

    def __init__(self, settings: OracleSettings, state: Path, *, stop: Callable[[], bool] = lambda: False) -> None:
        self._settings, self._state, self._stop = settings, state, stop
        self._prompt = make_prompt(settings, state)
        self._shown = {shot.sha256 for shot in self._prompt.shots}
        self._measured: Measured | None = None
        """Of the first answers that are looked at: each further look would go through all that was ever answered."""
        self.name = self._prompt.asker

    def judge(self, questions: Sequence[LabelQuestion]) -> Sequence[Opinion | None]:
        """One opinion for each question, None where there is none; raises OperatorError when it cannot be asked."""
        pictures = [Picture(one.sha256, one.path, ASKED, probability=one.probability) for one in questions]
        with asking_store(self._state) as store:
            report = ask_all(self._settings, self._prompt, store, pictures, stop=self._stop)
            if report.ended:
                logger.warning("oracle: not asked to the end: {}", report.ended)
            return [self._opinion(store, one) for one in pictures]

    def _opinion(self, store: LabellingStore, picture: Picture) -> Opinion | None:
        if self._measured is None:
            self._measured = verdicts_in(store, self._prompt, self._state).measured
        if picture.sha256 in self._shown:
            return None
        return opinion_of(picture, store.answers(self.name, picture.sha256), self._measured)
