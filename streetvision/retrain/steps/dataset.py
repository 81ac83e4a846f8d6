"""Dataset: the pictures of all sets as one, listed in the run's folder with its fingerprint."""

from __future__ import annotations

from streetvision.retrain.labels import PICTURES
from streetvision.retrain.sets import set_names
from streetvision.retrain.step import Context, NothingToDo, Output
from streetvision.retrain.steps.more import SET
from streetvision.retrain.steps.synthesise import SETS
from streetvision.retrain.steps.work import Work, done, list_file
from streetvision.retrain_log.records import StepName

FROZEN = "frozen"


def make_dataset(context: Context, work: Work) -> Output:
    """Nothing in it leaks into what it is judged on; raises NothingToDo for pictures that led nowhere before."""
    settings = context.settings
    lists = {PICTURES: str(list_file(context)), FROZEN: str(context.folder / "frozen.jsonl")}
    given = [context.outputs[StepName.LABEL].get(SET), *context.outputs[StepName.SYNTHESISE].get(SETS, ())]
    request = {
        **lists,
        "state_dir": str(settings.state_dir),
        "log": str(context.store.folder),
        "sets": [*set_names(settings), *filter(None, given)],
        "frozen_sets": list(settings.retrain.frozen_names),
    }
    found = done(work, context, "combine", request)
    refused = context.store.refused(found["fingerprint"])
    if refused is not None:
        raise NothingToDo(
            f"the run {refused.run} had the same pictures, and its model was not kept: {refused.reason}",
            "label more, or correct labels",
        )
    return found | lists
