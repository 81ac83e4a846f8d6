"""What the oracle of the settings has said until now, in the light of all that people said."""

from __future__ import annotations

from pathlib import Path

from streetvision.labelling.pictures import app_labels
from streetvision.labelling.prompt import Prompt
from streetvision.labelling.schema import DATABASE, FOLDER
from streetvision.labelling.shots import make_prompt
from streetvision.labelling.store import LabellingStore
from streetvision.labelling.verdicts import Verdicts, judge
from streetvision.settings.oracle import OracleSettings

TRAINING = "training"
"""Where `streetvision mine export` writes, in the state folder."""


def read_verdicts(settings: OracleSettings, state: Path) -> Verdicts:
    """Of every picture that it answered; also while a run asks. Raises OperatorError."""
    prompt = make_prompt(settings, state)
    if not (state / FOLDER / DATABASE).is_file():
        return judge(prompt.asker, ())
    with LabellingStore(state) as store:
        return verdicts_in(store, prompt, state)


def verdicts_in(store: LabellingStore, prompt: Prompt, state: Path) -> Verdicts:
    """The same from an open database."""
    store.note_labels(app_labels(state / TRAINING))
    return judge(prompt.asker, store.answered(prompt.asker), {shot.sha256 for shot in prompt.shots})
