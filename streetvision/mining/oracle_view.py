"""Where an oracle disagrees, as a view of the dataset: what a person should look at first on top."""

from __future__ import annotations

from collections.abc import Sequence

from streetvision.labelling.review import ReviewItem
from streetvision.mining.database import Dataset, FiftyOne
from streetvision.mining.dataset import save_view
from streetvision.mining.schema import OPINION

ORACLE_VIEW = "oracle"
WHY, URGENCY = "oracle_why", "oracle_urgency"


def save_review(fo: FiftyOne, dataset: Dataset, asker: str, items: Sequence[ReviewItem]) -> int:
    """Mark the pictures of these that the dataset has, and save them as a view; how many there are.

    The oracle's opinions stand beside people's labels and are never taken for them.
    """
    known = dict(zip(*dataset.values(["sha256", "id"]), strict=True))
    there = {known[item.verdict.picture.sha256]: item for item in items if item.verdict.picture.sha256 in known}
    for name, kind in ((WHY, fo.StringField), (URGENCY, fo.FloatField)):
        if dataset.has_sample_field(name):
            dataset.clear_sample_field(name)
        else:
            dataset.add_sample_field(name, kind)
    if there:
        _set(dataset, OPINION, {one: _opinion(fo, asker, item) for one, item in there.items()})
        _set(dataset, WHY, {one: item.why for one, item in there.items()})
        _set(dataset, URGENCY, {one: item.urgency for one, item in there.items()})
    view = dataset.exists(URGENCY).sort_by(URGENCY, reverse=True)
    save_view(dataset, ORACLE_VIEW, view, f"Where the oracle disagrees; the field `{WHY}` says how")
    return len(there)


def _set(dataset: Dataset, field: str, values: dict[str, object]) -> None:
    dataset.set_values(field, values, key_field="id", progress=False)


def _opinion(fo: FiftyOne, asker: str, item: ReviewItem) -> object:
    one = item.verdict
    return fo.Classification(label=one.label, confidence=one.certainty, remark=one.votes.remark, oracle=asker)
