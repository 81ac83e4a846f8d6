"""What an oracle's answers come to, picture by picture, in the light of what people said."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from streetvision.labelling.answer import Answer
from streetvision.labelling.calibration import Judged, Measured, label_of, measure
from streetvision.labelling.oracle import Label, Opinion
from streetvision.labelling.pictures import Picture
from streetvision.labelling.store import Asked
from streetvision.labelling.votes import Votes, combine


@dataclass(frozen=True, slots=True)
class Verdict:
    """One picture."""

    picture: Picture
    votes: Votes
    probability: float
    """Calibrated P(roadwork)."""
    label: Label
    trust: float
    """Weight of the label in the loss; 0: not to be learned from."""

    @property
    def certainty(self) -> float:
        """Calibrated probability of the side that it leans to."""
        return max(self.probability, 1.0 - self.probability)

    @property
    def opinion(self) -> Opinion:
        """For whoever asked through the seam."""
        return Opinion(self.label, self.certainty, self.votes.remark)


@dataclass(frozen=True)
class Verdicts:
    """All pictures that one oracle answered, and how far it may be believed."""

    asker: str
    measured: Measured
    pictures: tuple[Verdict, ...]


def judge(asker: str, asked: Sequence[Asked], shown: Collection[str] = ()) -> Verdicts:
    """Measure the oracle where people spoke, and label all; `shown` are digests of pictures in its prompt.

    These it was told the label of: they neither measure it nor are labelled by it.
    """
    told = [(one.picture, combine(one.answers)) for one in asked if one.picture.sha256 not in shown]
    compared = [
        Judged(votes.probability, picture.human, picture.place or picture.sha256)
        for picture, votes in told
        if picture.human is not None
    ]
    measured = measure(compared)
    return Verdicts(asker, measured, tuple(_verdict(picture, votes, measured) for picture, votes in told))


def opinion_of(picture: Picture, answers: Sequence[Answer], measured: Measured) -> Opinion | None:
    """Of one picture; None where nothing was answered."""
    return _verdict(picture, combine(answers), measured).opinion if answers else None


def _verdict(picture: Picture, votes: Votes, measured: Measured) -> Verdict:
    probability = measured.calibration.probability(votes.probability)
    return Verdict(picture, votes, probability, label_of(probability), measured.trust(probability))
