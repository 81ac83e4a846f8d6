"""Whether a variation may be learned from: is it a picture, is it new, does it show what its label says?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from streetvision.labelling.oracle import LabelOracle, LabelQuestion
from streetvision.sources.near_duplicates import are_near
from streetvision.synthesis.kinds import KINDS
from streetvision.synthesis.planning import Wish
from streetvision.synthesis.store import Known

COPY_OF_PARENT, COPY_OF_ANOTHER = "it is a near copy of its parent", "it is a near copy of another variation"


def near_copy(wish: Wish, number: int, parent: int, known: Iterable[Known]) -> str:
    """Why the variation with that fingerprint is nothing new, as a clause; empty where it is.

    Kinds that resemble their parent by nature are compared with the same kind of the same parent alone.
    """
    if not wish.kind.alike and are_near(number, parent):
        return COPY_OF_PARENT
    others = (one for one in known if _comparable(wish, one))
    return COPY_OF_ANOTHER if any(are_near(number, one.fingerprint) for one in others) else ""


def _comparable(wish: Wish, other: Known) -> bool:
    if wish.kind.alike:
        return other.kind == wish.kind.name and other.parent == wish.parent.sha256
    return other.kind not in KINDS or not KINDS[other.kind].alike


def disagreement(label: bool, path: Path, oracle: LabelOracle) -> str:
    """Why the picture in `path` does not show what its label says, as a clause; empty where the oracle sees it too."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (opinion,) = oracle.judge([LabelQuestion(digest, path)])
    if opinion is None or opinion.label == "unsure":
        return f"{oracle.name} has no opinion on it"
    if (opinion.label == "roadwork") != label:
        return f"{oracle.name} sees {'roadwork' if opinion.label == 'roadwork' else 'none'} in it"
    return ""
