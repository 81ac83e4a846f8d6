"""Nobody asks."""

from __future__ import annotations

from streetvision.base.wording import duration, moment, plural
from streetvision.monitor.derived import Silence, halt_of, silence_of
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import MINER, proves_after_requests
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.rules.proxies import headers_lost
from streetvision.monitor.thresholds import SECONDS_PER_BLOCK, Thresholds


def no_requests(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Nobody asks, for longer than usual at this time of day."""
    silence = silence_of(seen, limits)
    if silence is None or not silence.unusual or _is_explained(seen, limits):
        return []
    evidence = _silence_evidence(seen, silence)
    return [
        Finding(
            code="no_requests",
            severity=Severity.CRITICAL if silence.expected is not None else Severity.WARNING,
            title=f"no validator has asked for {duration(silence.seconds)}",
            evidence=evidence,
            remedy="Check from another machine that the port answers (streetvision doctor prints the command); when it "
            "does, the validators have stopped: the subnet's announcements may say why.",
            since=silence.since,
            data={
                "seconds": round(silence.seconds),
                "expected": silence.expected,
                "usual_gap": silence.usual_gap,
            },
        )
    ]


def _is_explained(seen: Observation, limits: Thresholds) -> bool:
    """A halted subnet sends no challenges, nobody asks a hotkey without a UID, or a proxy makes requests nobody's."""
    if headers_lost(seen, limits) is not None:
        return True
    return halt_of(seen, limits) is not None or (seen.latest is not None and not seen.latest.registered)


def _silence_evidence(seen: Observation, silence: Silence) -> tuple[str, ...]:
    began = "The last request came" if silence.ever else "Nobody has ever asked; the miner listens since"
    sentences = [f"{began} {moment(silence.since)}."]
    if silence.expected is not None and silence.usual_gap is not None:
        sentences.append(
            f"At this time of day about {silence.expected:.0f} requests usually come meanwhile; the longest usual gap "
            f"is {duration(silence.usual_gap)}."
        )
    if seen.latest is not None and seen.latest.weights_age is not None:
        age = seen.latest.weights_age * SECONDS_PER_BLOCK
        sentences.append(
            f"{seen.latest.active_validators} of {plural(seen.latest.validators, 'validator')} set weights lately, the "
            f"newest {duration(age)} ago."
        )
    return tuple(sentences)


RULES = (
    Rule(
        code="no_requests",
        order=700,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="Nobody asks for longer than usual at this time of day, learned from the last week",
        remedy="Check the port from outside; else wait for the validators",
        judge=no_requests,
        needs=(MINER,),
        absence=proves_after_requests,
    ),
)
