"""Shadow, canary, promote: the running miner tries the version by its own gates, and takes it back by them.

What happens in the miner outlives this process: a step that is done again finds the trial, or its end, and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from streetvision.base.wording import duration
from streetvision.retrain.labels import PICTURES
from streetvision.retrain.sets import set_names
from streetvision.retrain.step import Context, Output, Refused, RolledBack
from streetvision.retrain.steps.evaluate import AGAINST_FOLDER, log_folder
from streetvision.retrain.steps.trial import CANARY, SHADOW, Trial
from streetvision.retrain.steps.verdicts import note_gate, refuses
from streetvision.retrain.steps.work import Work, device, done
from streetvision.retrain_log.records import StepName
from streetvision.rollout.journal import BY_RETRAINING

MINUTE_S = 60.0
SHADOW_FAILED = "shadow_failed"
"""The rollout's word for a shadow that its gates ended."""
SERVING = "serving"
"""Key of an output: whether the version serves already."""


def shadow(context: Context) -> Output:
    """Let the version compute beside the serving one until its gates have passed, or the time is over."""
    trial, wanted = _trial(context), context.settings.retrain
    if not wanted.deploy:
        raise trial.waiting("--retrain.deploy is false", "look at it")
    status = trial.status()
    if trial.serves(status) or trial.tried_as(status, CANARY) or not wanted.shadow_minutes:
        return {SERVING: trial.serves(status)}
    if not trial.tried_as(status, SHADOW):
        trial.ask(SHADOW, version=trial.version, by=BY_RETRAINING)
    until = context.clock.monotonic() + wanted.shadow_minutes * MINUTE_S
    while True:
        status = trial.status()
        if not trial.tried_as(status, SHADOW):
            raise _shadow_ended(trial, status)
        candidate = status["candidate"]
        if candidate["passed"] or context.clock.monotonic() >= until:
            return {SERVING: False, **_found(candidate)}
        trial.wait(status)


def canary(context: Context) -> Output:
    """Let it answer a share of the requests until the miner's gates promote it or take it off."""
    trial, wanted = _trial(context), context.settings.retrain
    status = trial.status()
    if not trial.serves(status) and not trial.tried_as(status, CANARY):
        trial.ask(CANARY, version=trial.version, share=wanted.canary_share, by=BY_RETRAINING)
    until = context.clock.monotonic() + wanted.canary_minutes * MINUTE_S
    while True:
        status = trial.status()
        if trial.serves(status):
            return {SERVING: True, "decision": dict(trial.last_word(status))}
        if not trial.tried_as(status, CANARY):
            raise trial.lost(status)
        if context.clock.monotonic() >= until:
            trial.end()
            why = "; ".join(status["candidate"]["evidence"]) or "nothing was measured"
            raise trial.waiting(
                f"{duration(wanted.canary_minutes * MINUTE_S)} brought no verdict ({why})", "wait for more traffic"
            )
        trial.wait(status)


def promote(context: Context, work: Work) -> Output:
    """See that it serves and is no worse on what it was asked, and upload it where the operator wants that."""
    trial = _trial(context)
    status = trial.status()
    if not trial.serves(status):
        raise RolledBack(f"version {status['active']['version']} serves again in place of version {trial.version}")
    _compare(context, work, trial)
    return {SERVING: True, "url": _uploaded(context, work, trial.version)}


def _compare(context: Context, work: Work, trial: Trial) -> None:
    """Both models on the requests since the trial began whose labels are known by now; a loss takes it off again."""
    log = log_folder(context.settings)
    if not log:
        return
    gate = done(work, context, "answered", answered_request(context, log))
    note_gate(context, gate)
    if refuses(gate):
        trial.ask("rollback", by=BY_RETRAINING)
        raise RolledBack(f"version {trial.version} was taken off again: on the requests of its trial {gate['why']}")


def answered_request(context: Context, log: str) -> dict[str, Any]:
    """For the job `answered`."""
    settings, evaluated = context.settings, context.outputs[StepName.EVALUATE]
    begun = next(step.started for step in context.store.steps(context.run.id) if step.name == StepName.SHADOW)
    return {
        "state_dir": str(settings.state_dir),
        "candidate": context.outputs[StepName.TRAIN]["candidate"],
        "serving": evaluated[AGAINST_FOLDER],
        "pictures": context.outputs[StepName.DATASET][PICTURES],
        "sets": set_names(settings),
        "frozen_sets": list(settings.retrain.frozen_names),
        "log": log,
        "since": datetime.fromisoformat(begun).timestamp(),
        "device": device(settings),
    }


def abandon(context: Context) -> None:
    """Take back what a run that is given up left in the running miner."""
    version = context.outputs.get(StepName.PUBLISH, {}).get("version")
    if version:
        Trial(context, str(version)).end()


def _trial(context: Context) -> Trial:
    return Trial(context, str(context.outputs[StepName.PUBLISH]["version"]))


def _shadow_ended(trial: Trial, status: Mapping[str, Any]) -> Exception:
    """A shadow that its gates ended answered nobody: that is a refusal, no rollback."""
    last = trial.last_word(status)
    if last.get("event") == SHADOW_FAILED:
        return Refused(f"the miner's gates ended the shadow of version {trial.version}: {last['why']}")
    return trial.lost(status)


def _found(candidate: Mapping[str, Any]) -> dict[str, Any]:
    return {name: candidate[name] for name in ("passed", "verdict", "evidence", "report")}


def _uploaded(context: Context, work: Work, version: str) -> str:
    """Where it is on the hub; empty where it is not to go there."""
    settings = context.settings
    if not settings.retrain.publish:
        return ""
    wallet = asdict(settings.wallet)
    request = {
        "state_dir": str(settings.state_dir),
        "version": version,
        "repo": settings.model.repo,
        "wallet": {name: None if value is None else str(value) for name, value in wallet.items()},
        "network": settings.subtensor.network,
        "pay_window": [settings.model.full_pay_days, settings.model.max_age_days],
    }
    return str(done(work, context, "upload", request)["url"])
