"""A LabelOracle that asks a chat completions API, within the operator's bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from streetvision.labelling.asking import ask_all
from streetvision.labelling.oracle import LabelQuestion, Opinion
from streetvision.labelling.pictures import ASKED, Picture
from streetvision.labelling.reading import verdicts_in
from streetvision.labelling.shots import make_prompt
from streetvision.labelling.store import asking_store
from streetvision.settings.oracle import OracleSettings


class ChatOracle:
    """Asks once about each picture, ever; what it cannot ask within the bounds has no opinion."""

    def __init__(self, settings: OracleSettings, state: Path, *, stop: Callable[[], bool] = lambda: False) -> None:
        self._settings, self._state, self._stop = settings, state, stop
        self._prompt = make_prompt(settings, state)
        self.name = self._prompt.asker

    def judge(self, questions: Sequence[LabelQuestion]) -> Sequence[Opinion | None]:
        """One opinion for each question, None where there is none; raises OperatorError when it cannot be asked."""
        pictures = [Picture(one.sha256, one.path, ASKED, probability=one.probability) for one in questions]
        with asking_store(self._state) as store:
            ask_all(self._settings, self._prompt, store, pictures, stop=self._stop)
            verdicts = verdicts_in(store, self._prompt, self._state)
        found = {one.picture.sha256: one.opinion for one in verdicts.pictures}
        return [found.get(one.sha256) for one in questions]
