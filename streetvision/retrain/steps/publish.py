"""Publish: the accepted candidate becomes the registry's next version."""

from __future__ import annotations

from streetvision.retrain.step import Context, Output, Refused
from streetvision.retrain.steps.work import Work, done
from streetvision.retrain_log.records import StepName


def publish(context: Context, work: Work) -> Output:
    """The version; the same one when the step is done again."""
    request = {
        "state_dir": str(context.settings.state_dir),
        "training": context.outputs[StepName.TRAIN]["training"],
        "now": context.clock.now(),
    }
    added = done(work, context, "add", request)
    if not added["servable"]:
        raise Refused(f"version {added['version']} may not serve: {added['why_not']}")
    return {"version": added["version"]}
