"""How the last retraining ended, and whether that can be known."""

from __future__ import annotations

from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import proves_with_retraining
from streetvision.monitor.observation import Observation
from streetvision.monitor.retraining import RunView
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import DAY, Thresholds
from streetvision.retrain_log.records import RunState, StepName

SHOW = "`streetvision retrain show` has each step and gate."
_DIFFERS = "What is much better must differ from the model that serves, and its gate saw the difference alone"
_LOWER = (
    "Lower --rollout.min_agreement, --retrain.min_agreement or --rollout.max_shift for a while, whichever the reason "
    "is about. The same pictures are not tried again"
)


def retrain_failed(seen: Observation, limits: Thresholds) -> list[Finding]:
    """A step could not be done, or none was begun for a fault of the settings; until the next run begins."""
    run = _last(seen, RunState.FAILED)
    if run is None:
        return []
    at = f" in its step {run.step}" if run.step else ""
    return [_finding("retrain_failed", Severity.WARNING, run, f"retraining failed{at}", remedy=run.remedy or SHOW)]


def retrain_rolled_back(seen: Observation, limits: Thresholds) -> list[Finding]:
    """A new model answered and was taken back; silent where the rollback itself is a finding that says as much."""
    run, code = _last(seen, RunState.ROLLED_BACK, limits.decision_days), "retrain_rolled_back"
    if run is None:
        return []
    if run.gain and run.differs:
        return [_differing(code, run)]
    if seen.rollout is not None and (seen.rollout.state, seen.rollout.version) == ("rolled_back", run.version):
        return []
    title = f"retraining's model {run.version} was rolled back"
    return [_finding(code, Severity.WARNING, run, title, remedy=run.remedy or SHOW)]


def retrain_refused(seen: Observation, limits: Thresholds) -> list[Finding]:
    """A gate kept labels or model out. That a model is no better is usual, and no more than good to know."""
    run = _last(seen, RunState.REFUSED, limits.decision_days)
    if run is None:
        return []
    code, title = "retrain_refused", f"a gate refused the last retraining in its step {run.step}"
    if run.gain and run.differs:
        return [_differing(code, run)]
    severity = Severity.INFO if run.step == StepName.EVALUATE else Severity.WARNING
    return [_finding(code, severity, run, title, remedy=run.remedy or SHOW)]


def retrain_waiting(seen: Observation, limits: Thresholds) -> list[Finding]:
    """A new version is there and nobody decided."""
    run = _last(seen, RunState.WAITING, limits.decision_days)
    if run is None or _serves(run, seen):
        return []
    title = f"retraining made version {run.version}, which waits for you"
    return [_finding("retrain_waiting", Severity.WARNING, run, title, remedy=run.remedy or SHOW)]


def retrain_promoted(seen: Observation, limits: Thresholds) -> list[Finding]:
    """A new model serves."""
    run = _last(seen, RunState.PROMOTED, limits.promotion_days)
    if run is None or _serves(run, seen) is False:
        return []
    title = f"retraining put version {run.version} on"
    remedy = f"Nothing to do; `streetvision models rollback` takes it off again. {SHOW}"
    return [_finding("retrain_promoted", Severity.INFO, run, title, run.gain, remedy=remedy)]


def retrain_log_unread(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The log cannot be read, without which no run begins."""
    if seen.retrain is None or not seen.retrain.problem:
        return []
    return [
        Finding(
            code="retrain_log_unread",
            severity=Severity.WARNING,
            title="the log of retraining cannot be read",
            evidence=(f"{seen.retrain.problem}.",),
            remedy="Put that right; until then no run begins, and requests are served all the same.",
        )
    ]


def _last(seen: Observation, state: RunState, days: float = float("inf")) -> RunView | None:
    """The last run, where it ended so and not longer ago; None where the operator has given retraining up."""
    view = seen.retrain
    if view is None or not view.configured or view.last is None or view.last.state != state:
        return None
    ended = view.last.began if view.last.ended is None else view.last.ended
    return view.last if seen.now - ended <= days * DAY else None


def _serves(run: RunView, seen: Observation) -> bool | None:
    """Whether its version does; None where no miner says."""
    return None if seen.model is None else seen.model.version == run.version


def _differing(code: str, run: RunView) -> Finding:
    """Of a run whose model is better by labels and was kept out for being another."""
    title = "a better model was refused because it differs from the one that serves"
    swap = f"; streetvision models swap {run.version} puts this one on" if run.version else ""
    evidence = (f"On labelled pictures {run.gain}", _DIFFERS)
    return _finding(code, Severity.WARNING, run, title, *evidence, remedy=f"{_LOWER}{swap}")


def _finding(code: str, severity: Severity, run: RunView, title: str, *evidence: str, remedy: str) -> Finding:
    """Of one run: the next one's is another finding."""
    return Finding(
        code=code,
        severity=severity,
        title=title,
        evidence=tuple(_sentence(text) for text in (f"Run {run.id}: {run.reason}", *evidence) if text),
        remedy=_sentence(remedy),
        since=run.ended,
        subject=run.id,
        data={"run": run.id, "step": run.step, "version": run.version},
    )


def _sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('. ')}."


RULES = (
    Rule(
        code="retrain_failed",
        order=1040,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="The last retraining could not do one of its steps, or could not begin with what the settings name",
        remedy="The finding's; the next run goes on there",
        judge=retrain_failed,
        absence=proves_with_retraining,
    ),
    Rule(
        code="retrain_rolled_back",
        order=1050,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="The last retraining's model answered requests and was taken back, within a week",
        remedy="`streetvision retrain show`; the same pictures are not tried again",
        judge=retrain_rolled_back,
        absence=proves_with_retraining,
    ),
    Rule(
        code="retrain_refused",
        order=1060,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="A gate refused the last retraining within a week: its labels, or the miner's trial; `info` where its"
        " model was only not surely better",
        remedy="`streetvision retrain show`: correct the labels, or label more",
        judge=retrain_refused,
        absence=proves_with_retraining,
    ),
    Rule(
        code="retrain_waiting",
        order=1070,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="The last retraining made a version within a week that does not serve, as no verdict came",
        remedy="`streetvision models canary` or `models swap`",
        judge=retrain_waiting,
        absence=proves_with_retraining,
    ),
    Rule(
        code="retrain_log_unread",
        order=1080,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="The log of retraining cannot be read, so no run begins",
        remedy="The finding names the cause: disk, permissions, a newer version's file",
        judge=retrain_log_unread,
    ),
    Rule(
        code="retrain_promoted",
        order=1090,
        severity=Severity.INFO,
        fault=Fault.OURS,
        meaning="Retraining put a new model on within the last day",
        remedy="None; `streetvision models rollback` takes it off",
        judge=retrain_promoted,
        news=True,
        absence=proves_with_retraining,
    ),
)
