"""What people said in the App, by sample tags (fast: select many, tag once) or in the label field (one by one)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streetvision.labelling.oracle import LABELS, Label
from streetvision.mining.database import Dataset, FiftyOne
from streetvision.mining.schema import LABEL_FIELD, RESOLVED


@dataclass(frozen=True, slots=True)
class ResolvedLabel:
    """What a picture's tags and label field come to."""

    label: Label | None = None
    """None: nobody said anything, or the sayings contradict each other."""
    sources: tuple[str, ...] = ()
    """`tag` and `field`, as far as they said something."""
    problem: str = ""
    """A contradiction or a word that is no label; empty when all is well."""

    @property
    def decided(self) -> bool:
        """Whether it can be learned from."""
        return self.label in ("roadwork", "none")


def resolve(tags: Sequence[str], field: str | None) -> ResolvedLabel:
    """The verdict of a picture's sample tags and of its label field's word; capitals and spaces do not matter."""
    words = {tag.strip().lower() for tag in tags}
    tagged = [label for label in LABELS if label in words]
    written = None if field is None else field.strip().lower()
    sources = tuple(name for name, said in (("tag", bool(tagged)), ("field", written is not None)) if said)
    if written is not None and written not in LABELS:
        return ResolvedLabel(None, sources, f"{field!r} is none of {', '.join(LABELS)}")
    said = [label for label in LABELS if label in tagged or label == written]
    if len(said) > 1:
        return ResolvedLabel(None, sources, f"labelled {' and '.join(said)}")
    return ResolvedLabel(said[0] if said else None, sources)


def read_labels(fo: FiftyOne, dataset: Dataset) -> dict[str, ResolvedLabel]:
    """The verdict on every sample by sample id; brings the field RESOLVED up to date with them."""
    ids, tags, words, kept = dataset.values(["id", "tags", f"{LABEL_FIELD}.label", f"{RESOLVED}.label"])
    verdicts = {one: resolve(some or (), word) for one, some, word in zip(ids, tags, words, strict=True)}
    old = dict(zip(ids, kept, strict=True))
    changed = {
        one: fo.Classification(label=verdict.label) if verdict.label else None
        for one, verdict in verdicts.items()
        if verdict.label != old[one]
    }
    if changed:
        dataset.set_values(RESOLVED, changed, key_field="id", progress=False)
    return verdicts
