"""From labelled pictures to variations of which one knows whether they pay: planned, the hardest first, then judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from streetvision.settings.synthetic import SyntheticSettings
from streetvision.sources.dataset import Example
from streetvision.synthesis.ablation import Ablation, Part, ablate, too_few, untold
from streetvision.synthesis.back_end import BackEnd
from streetvision.synthesis.back_ends.opening import offered
from streetvision.synthesis.model_opinion import LaterOpinion, ModelOpinion, Seen
from streetvision.synthesis.planning import Wish, allowed, plan
from streetvision.synthesis.store import SynthesisStore, Variation

MOST = 2000
"""Pictures that the model looks at, real ones and variations each; drawn at random where there are more."""
Progress = Callable[[int], None]


def drawn(examples: Sequence[Example], most: int = MOST, seed: int = 0) -> list[Example]:
    """At most so many of them, in a random order."""
    places = np.random.default_rng((43, seed)).permutation(len(examples))
    return [examples[place] for place in places[:most].tolist()]


def hardest_first(
    parents: Sequence[Example], opinion: ModelOpinion, progress: Progress = lambda _: None
) -> list[Example]:
    """Those first to whose label the model gives least; those that it cannot read are left out."""
    seen = opinion.see([one.path for one in parents], progress)
    shown = [parents[place] for place in seen.places.tolist()]
    labels = np.array([one.label for one in shown], np.bool_)
    believed = np.where(labels, seen.probabilities, 1.0 - seen.probabilities)
    return [shown[place] for place in np.argsort(believed, kind="stable").tolist()]


def wishes_for(
    store: SynthesisStore,
    name: str,
    wanted: SyntheticSettings,
    *,
    back_end: BackEnd,
    parents: Sequence[Example],
    seed: int,
) -> list[Wish]:
    """At most as many as are wanted, and as the set may hold beside so many parents; none that was tried before."""
    count = min(wanted.count, allowed(len(parents), len(store.known(name)), wanted.max_share))
    return plan(parents, offered(wanted, back_end), count, seed, store.tried(name, back_end.name))


def judge_variations(
    real: Sequence[Example], made: Sequence[Variation], opinion: LaterOpinion, progress: Progress = lambda _: None
) -> Ablation:
    """What each kind of variation adds to a probe on the model's embeddings of `real`; their splits are not heeded."""
    groups = _numbers(real)
    number_of = {one.sha256: groups[place] for place, one in enumerate(real)}
    known = [one for one in made if one.parent in number_of]
    if why := too_few(np.array([one.label for one in real], np.bool_), np.array(groups, np.int64)):
        return untold(why)
    seen = opinion.opened.see([one.path for one in real], progress)
    also = opinion.opened.see([one.path for one in known], progress)
    chosen = [known[place] for place in also.places.tolist()]
    shown = seen.places.tolist()
    return ablate(
        _part(seen, [real[place].label for place in shown], [groups[place] for place in shown], None),
        _part(
            also,
            [one.label for one in chosen],
            [number_of[one.parent] for one in chosen],
            [one.trust for one in chosen],
        ),
        [one.kind for one in chosen],
    )


def _numbers(examples: Sequence[Example]) -> list[int]:
    """Pictures of one group of one source share a number."""
    first: dict[tuple[str, str], int] = {}
    return [first.setdefault((one.source, one.group or str(one.path)), place) for place, one in enumerate(examples)]


def _part(seen: Seen, labels: Sequence[bool], groups: Sequence[int], trust: Sequence[float] | None) -> Part:
    weights = np.ones(len(labels)) if trust is None else np.array(trust, np.float64)
    return Part(seen.vectors, np.array(labels, np.bool_), np.array(groups, np.int64), weights)


def fields_of(found: Ablation) -> dict[str, Any]:
    """As JSON."""
    return asdict(found) | {"kept": list(found.kept)}
