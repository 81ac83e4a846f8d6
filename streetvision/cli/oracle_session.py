"""What commands that ask an oracle share: who is asked, and that the operator agreed to the cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from streetvision.cli.agreeing import agree
from streetvision.cli.shared import miner_settings
from streetvision.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streetvision.labelling.oracle import LabelOracle
    from streetvision.settings.settings import Settings

NOBODY = "no oracle is configured: set --oracle.url and --oracle.model (docs/labelling.md)"


def with_oracle(state_dir: Path | None) -> Settings:
    """The settings, where they name an oracle; OperatorError elsewhere."""
    settings = miner_settings(state_dir)
    if not settings.oracle.is_configured:
        raise OperatorError(NOBODY)
    return settings


def agreed_oracle(settings: Settings, pictures: int, *, yes: bool) -> LabelOracle:
    """The oracle, once the operator agreed to what so many pictures may cost at most."""
    from streetvision.cli.label_reports import cost_words
    from streetvision.labelling.asking import reservation
    from streetvision.labelling.chat_oracle import ChatOracle
    from streetvision.labelling.estimate import times
    from streetvision.labelling.shots import make_prompt

    oracle = ChatOracle(settings.oracle, settings.state_dir)
    questions = pictures * (1 + settings.oracle.crops)
    most = times(reservation(settings.oracle, make_prompt(settings.oracle, settings.state_dir)), questions)
    words = cost_words(most, settings.oracle)
    agree(f"at most {questions:,} questions to {oracle.name} and {words}", yes=yes)
    return oracle


def known_opinions(settings: Settings) -> Mapping[str, float]:
    """P(roadwork) by digest, as the oracle said it before; empty where none is configured."""
    from streetvision.labelling.schema import DATABASE, FOLDER

    if not settings.oracle.is_configured or not (settings.state_dir / FOLDER / DATABASE).is_file():
        return {}
    from streetvision.labelling.reading import read_verdicts

    verdicts = read_verdicts(settings.oracle, settings.state_dir)
    return {one.picture.sha256: one.probability for one in verdicts.pictures}
