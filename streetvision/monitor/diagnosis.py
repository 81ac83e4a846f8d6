"""Why am I not earning? Reasons are tried in order: the first that holds, and those that do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from streetvision.base.wording import duration, moment, share
from streetvision.monitor.derived import IMAGE_REASONS, OTHER_TIME, halt_of, node_time_is_wrong, recent, silence_of
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.rules import judge
from streetvision.monitor.thresholds import THRESHOLDS, Thresholds


class Cause(StrEnum):
    """Reasons in the order in which they are tried: each makes those after it meaningless."""

    HALTED = "halted"
    NOT_REGISTERED = "not_registered"
    NOT_REACHABLE = "not_reachable"
    NOT_QUERIED = "not_queried"
    REFUSING_IMAGES = "refusing_images"
    ANSWERING_LATE = "answering_late"
    ANSWERING_WRONG = "answering_wrong"
    OUTCOMPETED = "outcompeted"
    EARNING = "earning"
    """None of them: the miner earns."""
    UNKNOWN = "unknown"
    """Too little is known to say."""


@dataclass(frozen=True, slots=True)
class RuledOut:
    """A reason that does not hold, and how we know."""

    cause: Cause
    why: str
    known: bool = True
    """False when nothing speaks for it but too little is known to exclude it."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer."""

    cause: Cause
    title: str
    """One sentence without a full stop."""
    evidence: tuple[str, ...]
    remedy: str
    ruled_out: tuple[RuledOut, ...] = ()
    """In the order in which they were tried."""

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "cause": self.cause.value,
            "title": self.title,
            "evidence": list(self.evidence),
            "remedy": self.remedy,
            "ruled_out": [{"cause": r.cause.value, "why": r.why, "known": r.known} for r in self.ruled_out],
        }


_Answer = Diagnosis | RuledOut


@dataclass(frozen=True)
class _Reader:
    """The observation and its findings, as the questions see them."""

    seen: Observation
    limits: Thresholds
    findings: tuple[Finding, ...]

    def first(self, *codes: str) -> Finding | None:
        """The gravest finding with one of these codes."""
        return next((finding for finding in self.findings if finding.code in codes), None)

    @cached_property
    def node_time_is_wrong(self) -> bool:
        """Whether the node's time is wrong, so that nothing can be said of the subnet as it is now."""
        return node_time_is_wrong(self.seen, self.limits)

    @property
    def unread(self) -> str:
        """Why nothing is known of the subnet."""
        return OTHER_TIME if self.node_time_is_wrong else "the chain was never read"

    @property
    def earns(self) -> bool:
        """Whether the last epoch paid this hotkey."""
        latest = self.seen.latest
        return latest is not None and latest.incentive > 0


def diagnose(
    seen: Observation, findings: tuple[Finding, ...] | None = None, limits: Thresholds = THRESHOLDS
) -> Diagnosis:
    """Try the causes in their order. Pure; `findings` are those of `judge(seen, limits)` if they are at hand."""
    reader = _Reader(seen, limits, judge(seen, limits) if findings is None else findings)
    ruled_out: list[RuledOut] = []
    for question in _QUESTIONS:
        answer = question(reader)
        if isinstance(answer, Diagnosis):
            return _with(answer, reader, tuple(ruled_out))
        ruled_out.append(answer)
    return _with(_none_holds(reader, ruled_out), reader, tuple(ruled_out))


def _with(answer: Diagnosis, reader: _Reader, ruled_out: tuple[RuledOut, ...]) -> Diagnosis:
    stale = reader.first("metagraph_stale", "node_lags")
    caveat = (f"Mind that {stale.title}: what the chain says may have changed.",) if stale else ()
    return Diagnosis(answer.cause, answer.title, (*answer.evidence, *caveat), answer.remedy, ruled_out)


def _holds(cause: Cause, finding: Finding) -> Diagnosis:
    return Diagnosis(cause, finding.title, finding.evidence, finding.remedy)


def _halted(reader: _Reader) -> _Answer:
    latest = reader.seen.latest
    if latest is None or reader.node_time_is_wrong:
        return RuledOut(Cause.HALTED, reader.unread, known=False)
    finding = reader.first("subnet_halted")
    if finding is not None and halt_of(reader.seen, reader.limits) is not None:
        return _holds(Cause.HALTED, finding)
    return RuledOut(
        Cause.HALTED,
        f"{latest.paid_miners} of {latest.miners} miners earn, {share(latest.burn_share)} is burned, "
        f"{latest.active_validators} of {latest.validators} validators set weights",
    )


def _not_registered(reader: _Reader) -> _Answer:
    latest = reader.seen.latest
    if latest is None or reader.node_time_is_wrong:
        return RuledOut(Cause.NOT_REGISTERED, reader.unread, known=False)
    finding = reader.first("deregistered")
    if finding is not None:
        return _holds(Cause.NOT_REGISTERED, finding)
    return RuledOut(Cause.NOT_REGISTERED, f"the hotkey holds UID {latest.uid} at block {latest.block}")


def _not_reachable(reader: _Reader) -> _Answer:
    seen = reader.seen
    finding = reader.first("endpoint_differs", "endpoint_unreachable")
    if finding is None:
        lost = reader.first("headers_missing", "proxy_protocol")
        finding = lost if lost is not None and lost.severity is Severity.CRITICAL else None
    if finding is not None:
        return _holds(Cause.NOT_REACHABLE, finding)
    last = seen.traffic.last_request
    if last is not None and seen.now - last < reader.limits.proof_of_reach_s:
        return RuledOut(Cause.NOT_REACHABLE, f"a validator's request arrived {duration(seen.now - last)} ago")
    if seen.probe is not None and seen.probe.reached:
        return RuledOut(Cause.NOT_REACHABLE, f"{seen.probe.endpoint} answered at {moment(seen.probe.time)}")
    return RuledOut(Cause.NOT_REACHABLE, "no request has proven it lately, and no probe", known=False)


def _not_queried(reader: _Reader) -> _Answer:
    seen = reader.seen
    if _clock_refuses(reader) is not None:
        return RuledOut(Cause.NOT_QUERIED, "validators ask, and are refused for their clocks or ours")
    finding = reader.first("no_requests")
    if finding is not None:
        return _holds(Cause.NOT_QUERIED, finding)
    silence = silence_of(seen, reader.limits)
    if silence is None:
        return RuledOut(Cause.NOT_QUERIED, "no miner is running here to ask", known=False)
    hour = recent(seen, reader.limits)
    if hour.requests:
        return RuledOut(Cause.NOT_QUERIED, f"{hour.requests} requests in the last hour")
    return RuledOut(Cause.NOT_QUERIED, f"silent for {duration(silence.seconds)}, which is not unusual", known=False)


def _clock_refuses(reader: _Reader) -> Finding | None:
    """The clock finding, when it is about refused requests or so far off that they are about to be."""
    finding = reader.first("clock_skew")
    return finding if finding is not None and finding.severity is Severity.CRITICAL else None


def _refusing_images(reader: _Reader) -> _Answer:
    finding = reader.first("images_refused")
    if finding is not None:
        return _holds(Cause.REFUSING_IMAGES, finding)
    hour = recent(reader.seen, reader.limits)
    if not hour.requests:
        return RuledOut(Cause.REFUSING_IMAGES, "no picture in the last hour to judge by", known=False)
    refused = sum(count for reason, count in hour.failed.items() if reason in IMAGE_REASONS)
    return RuledOut(Cause.REFUSING_IMAGES, f"{refused} of the last hour's {hour.requests} pictures were refused")


def _answering_late(reader: _Reader) -> _Answer:
    refused, late = _clock_refuses(reader), reader.first("latency_near_deadline")
    failing = reader.first("requests_failing")
    finding = refused or (late if late is not None and late.severity is Severity.CRITICAL else None) or failing
    if finding is not None:
        return _holds(Cause.ANSWERING_LATE, finding)
    hour = recent(reader.seen, reader.limits)
    if hour.requests:
        return RuledOut(
            Cause.ANSWERING_LATE, f"{hour.answered} of the last hour's {hour.requests} requests were answered in time"
        )
    return RuledOut(Cause.ANSWERING_LATE, "no request in the last hour to judge by", known=False)


def _answering_wrong(reader: _Reader) -> _Answer:
    seen, fell = reader.seen, reader.first("emission_fell", "rank_fell")
    finding = reader.first("one_class")
    if finding is None and not reader.earns:
        finding = reader.first("card_foreign")
    if finding is None and (fell is not None or not reader.earns):
        finding = reader.first("score_drift")
    if finding is not None:
        return _holds(Cause.ANSWERING_WRONG, finding)
    judged = not reader.node_time_is_wrong and len(seen.own_epochs) >= reader.limits.fall_tempos
    if not reader.earns and judged and recent(seen, reader.limits).answered:
        return _unrewarded(reader)
    why = "answers of both classes, and the validators reward them" if reader.earns else "nothing shows it yet"
    return RuledOut(Cause.ANSWERING_WRONG, why, known=reader.earns)


def _unrewarded(reader: _Reader) -> Diagnosis:
    seen, latest, hour = reader.seen, reader.seen.latest, recent(reader.seen, reader.limits)
    assert latest is not None  # noqa: S101 - it has epochs
    unpaid = sum(point.incentive == 0 for point in seen.own_epochs)
    evidence = (
        f"Validators ask and get answers ({hour.answered} in the last hour), yet UID {latest.uid} has had no incentive "
        f"in {unpaid} of its {len(seen.own_epochs)} tempos; {latest.paid_miners} of {latest.miners} miners have.",
    )
    remedy = "The answers do not convince: below about 75 % accuracy the reward is near nothing. Measure the model "
    remedy += "(docs/models.md), choose a better one, and see that it is submitted under this hotkey."
    return Diagnosis(Cause.ANSWERING_WRONG, "answers arrive in time, but are not rewarded", evidence, remedy)


def _outcompeted(reader: _Reader) -> _Answer:
    finding = reader.first("rank_fell", "deregistration_risk")
    fell = reader.first("emission_fell")
    if fell is not None and not fell.data["by_burn"]:
        finding = fell
    latest = reader.seen.latest
    if finding is not None:
        return _holds(Cause.OUTCOMPETED, finding)
    if latest is not None and latest.rank is not None and reader.earns:
        return RuledOut(Cause.OUTCOMPETED, f"rank {latest.rank} of {latest.miners}, and it holds")
    return RuledOut(Cause.OUTCOMPETED, "there is no rank to compare yet", known=False)


_QUESTIONS: tuple[Callable[[_Reader], _Answer], ...] = (
    _halted,
    _not_registered,
    _not_reachable,
    _not_queried,
    _refusing_images,
    _answering_late,
    _answering_wrong,
    _outcompeted,
)


def _none_holds(reader: _Reader, ruled_out: list[RuledOut]) -> Diagnosis:
    latest = reader.seen.latest
    if latest is not None and reader.earns:
        tao = f" ({latest.tao_per_day:.4g} TAO)" if latest.tao_per_day is not None else ""
        evidence = (
            f"UID {latest.uid}: rank {latest.rank} of {latest.miners}, {latest.emission_per_day:.4g} alpha a day{tao}.",
        )
        less = reader.first("emission_fell")
        if less is not None:
            return Diagnosis(Cause.EARNING, "the miner earns, though less", (*evidence, *less.evidence), less.remedy)
        return Diagnosis(Cause.EARNING, "the miner earns", evidence, "Nothing to do.")
    lags = reader.first("node_lags") if reader.node_time_is_wrong else None
    if lags is not None:
        return Diagnosis(Cause.UNKNOWN, f"{lags.title}: what is earned now is not seen", lags.evidence, lags.remedy)
    unknown = tuple(f"{r.cause.value.replace('_', ' ')}: {r.why}." for r in ruled_out if not r.known)
    return Diagnosis(
        Cause.UNKNOWN,
        "not earning, and it is too early to say why",
        unknown or ("Everything that can be seen is well; the first reward comes with an epoch after challenges.",),
        "Let the miner run for three tempos (about four hours) after its registration, then ask again.",
    )
