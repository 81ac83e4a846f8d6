"""Which of a classifier's labels mean roadwork: known words in any case, or what the operator says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from streetvision.models.checks import CheckpointError

POSITIVE = frozenset(
    {
        *("roadwork", "road work", "roadworks", "road works", "has roadwork", "with roadwork", "works"),
        *("construction", "road construction", "construction site", "construction zone", "work zone", "workzone"),
    }
)
NEGATIVE = frozenset(
    {
        *("none", "no", "no roadwork", "no road work", "no roadworks", "not roadwork", "non roadwork", "noroadwork"),
        *("without roadwork", "no construction", "no road construction", "not construction", "non construction"),
        *("background", "clear", "normal", "nothing", "other", "negative"),
    }
)


def labels_of(id2label: object, count: int) -> tuple[str, ...]:
    """A classifier's labels in the order of its outputs; transformers' own names where it gives none."""
    if id2label is None:
        return tuple(f"LABEL_{index}" for index in range(count))
    wanted = {str(index) for index in range(count)}
    if not isinstance(id2label, Mapping) or set(map(str, id2label)) != wanted:
        raise CheckpointError(f"config.json: id2label must name the classifier's {count} outputs, 0 to {count - 1}.")
    labels = {str(key): str(value) for key, value in id2label.items()}
    return tuple(labels[str(index)] for index in range(count))


def positive_classes(labels: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...]:
    """Indices of the labels that mean roadwork: those `wanted`, else those whose words are known.

    Raises CheckpointError when that would be a guess: an unknown label without `wanted`, or all of them positive.
    """
    found = _named(labels, wanted) if wanted else _known(labels)
    if len(labels) > 1 and len(found) == len(labels):
        raise CheckpointError(f"The labels {_listed(labels)} cannot all mean roadwork.")
    return found


def _known(labels: Sequence[str]) -> tuple[int, ...]:
    words = [_words(label) for label in labels]
    found = tuple(index for index, word in enumerate(words) if word in POSITIVE)
    understood = all(word in POSITIVE or word in NEGATIVE for word in words)
    if not found or not understood or len(set(words)) < len(words):
        raise CheckpointError(
            f"Which of the labels {_listed(labels)} mean roadwork is not clear: name them with --positive LABEL."
        )
    return found


def _named(labels: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...]:
    words = [_words(label) for label in labels]
    found = []
    for name in wanted:
        matching = [index for index, word in enumerate(words) if word == _words(name)]
        if len(matching) != 1:
            raise CheckpointError(f"There is no single label {name!r}; the labels are {_listed(labels)}.")
        found += matching
    return tuple(sorted(set(found)))


def _words(label: str) -> str:
    """Lower case, with one space between words: `No_RoadWork` and `no-roadwork` are the same."""
    return " ".join(re.findall(r"[^\W_]+", label.casefold()))


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(repr(label[:60]) for label in labels[:12])
    return shown + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")
