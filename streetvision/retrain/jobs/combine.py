"""Look at the pictures of all sets and write the lists of what to learn from and of what is frozen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from streetvision.errors import OperatorError
from streetvision.retrain.child import JobStopped, Tell
from streetvision.retrain.combining import LABELS, NEW, combine
from streetvision.retrain.labels import seen_labels
from streetvision.retrain.sets import Looked, NamedSet, frozen_sets, learning_sets, look, require_judges
from streetvision.retrain_log.reader import RetrainReader
from streetvision.sources.dataset import Example
from streetvision.sources.listed import ListedDataset, write_list
from streetvision.sources.splitting import SPLITS
from streetvision.training.pictures import gather


def run(request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]) -> dict[str, Any]:
    """Both lists with their counts; `fingerprint` is the same exactly when training would see the same.

    Raises OperatorError where training would refuse what is left, before anything is asked of a model.
    """
    state, file, frozen_file = Path(request["state_dir"]), Path(request["pictures"]), Path(request["frozen"])
    own = _looked(learning_sets(request["sets"], state), tell, stop)
    frozen = _looked(frozen_sets(request["frozen_sets"], state), tell, stop)
    judged = [member.example for one in frozen for member in one.members]
    require_judges(judged)
    seen = seen_labels(RetrainReader(Path(request["log"])))
    found = combine([m for one in own for m in one.members], [m for one in frozen for m in one.members], seen)
    left_out = Counter(found.left_out) + sum((one.unusable for one in own), Counter[str]())
    if left_out and not found.examples:
        raise OperatorError(_nothing_left(left_out))
    write_list(file, found.examples)
    write_list(frozen_file, judged)
    return {
        "fingerprint": gather([ListedDataset(file)]).fingerprint,
        "splits": {split: _counts(one for one in found.examples if one.split == split) for split in SPLITS},
        "frozen_counts": _counts(judged),
        "left_out": dict(left_out),
    }


def _nothing_left(left_out: Counter[str]) -> str:
    reasons = "; ".join(f"{count:,}: {why}" for why, count in left_out.most_common(3))
    return f"no picture is left to learn from ({reasons}): add others, or name other sets with --retrain.datasets"


def _looked(sets: Iterable[NamedSet], tell: Tell, stop: Callable[[], bool]) -> list[Looked]:
    looked = []
    for one in sets:
        if stop():
            raise JobStopped
        tell({"event": "progress", "what": f"looking at {one.name}", "done": 0, "total": len(one.examples)})
        looked.append(look(one))
    return looked


def _counts(examples: Iterable[Example]) -> dict[str, int]:
    some = list(examples)
    new = sum(one.tags.get(LABELS) == NEW for one in some)
    return {"pictures": len(some), "roadwork": sum(one.label for one in some), "new": new}
