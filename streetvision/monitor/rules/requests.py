"""Rules about what validators ask and whether they get it in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from streetvision.base.wording import duration, moment, plural, share, short
from streetvision.monitor.derived import (
    IMAGE_REASONS,
    LATE_REASONS,
    Silence,
    burst_size,
    halt_of,
    silence_of,
    whole_buckets,
)
from streetvision.monitor.finding import Finding, Rule, Severity
from streetvision.monitor.observation import Observation, ValidatorView
from streetvision.monitor.point import IDLE_BLOCKS
from streetvision.monitor.rules.proxies import headers_lost
from streetvision.monitor.thresholds import DAY, SECONDS_PER_BLOCK, Thresholds
from streetvision.monitor.traffic import HEADROOM_EDGES, LATENCY_EDGES, Traffic, TrafficBucket, quantile

_CHANGED = "Bodies arrive cut or changed: see what a proxy before the axon does to them (docs/proxies.md)."
_REMEDIES: Mapping[str, str] = {
    "bad_json": _CHANGED,
    "body_hash": _CHANGED,
    "missing_image": _CHANGED,
    "slow_body": "Bodies arrive too slowly: look at the line, and at a proxy that buffers them (docs/proxies.md).",
    "too_large": "Raise --axon.max_body_mib, and the limit of a proxy before the axon.",
    "closed": "The engine is closed: restart the miner and read the end of its log.",
    "device": "The GPU is lost to the miner: look for Xid lines in dmesg, check nvidia-smi, restart the miner.",
    "disconnected": "Callers leave before the answer: look at latency (streetvision log stats) and at the line.",
    "internal": "A defect in the miner: please report the traceback in its log; go back to the version before.",
    "no_metagraph": "The chain was never read: check --subtensor.network and the connection.",
    "quota": "Raise --axon.requests_per_minute.",
    "runner": "The model fails: read the log, check the GPU (nvidia-smi), restart; go back to the model before.",
}
_TOO_SLOW = "The miner is too slow for its load: end other work on this machine, choose a smaller model, or a GPU."


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


def recent(seen: Observation, limits: Thresholds) -> TrafficBucket:
    """The requests of the last hour."""
    return seen.traffic.total(seen.now - limits.recent_s, seen.now + 1)


def requests_failing(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Validators ask and get errors, those about their pictures apart."""
    hour = recent(seen, limits)
    reasons = _commonest(hour, lambda reason: reason not in IMAGE_REASONS)
    failed = sum(count for _, count in reasons)
    if hour.requests < limits.failing_requests or failed < limits.failing_share * hour.requests:
        return []
    listed = ", ".join(f"{count} x {reason}" for reason, count in reasons[:5])
    worst = reasons[0][0]
    return [
        Finding(
            code="requests_failing",
            severity=Severity.CRITICAL if failed >= limits.failing_critical * hour.requests else Severity.WARNING,
            title=f"{share(failed / hour.requests)} of requests get no answer, mostly {worst}",
            evidence=(
                f"In the last {duration(seen.now - hour.start)} {failed} of {hour.requests} requests failed: {listed}.",
                "Each scores 0 for its challenge.",
            ),
            remedy=_TOO_SLOW if worst in LATE_REASONS else _REMEDIES.get(worst, _UNKNOWN_REASON),
            data={"failed": failed, "requests": hour.requests, "reason": worst},
        )
    ]


def _commonest(hour: TrafficBucket, chosen: Callable[[str], bool]) -> list[tuple[str, int]]:
    """The chosen reasons for which requests failed, with their counts, the commonest first."""
    return sorted(((reason, n) for reason, n in hour.failed.items() if chosen(reason)), key=lambda item: -item[1])


def images_refused(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Validators' pictures are refused: too large for a limit, or unreadable."""
    hour = recent(seen, limits)
    reasons = _commonest(hour, lambda reason: reason in IMAGE_REASONS)
    refused = sum(count for _, count in reasons)
    if hour.requests < limits.failing_requests or refused < limits.failing_share * hour.requests:
        return []
    listed = ", ".join(f"{count} {_IMAGE_FAULTS[reason]}" for reason, count in reasons)
    worst = reasons[0][0]
    return [
        Finding(
            code="images_refused",
            severity=Severity.CRITICAL if refused >= limits.failing_critical * hour.requests else Severity.WARNING,
            title=f"{share(refused / hour.requests)} of the pictures are refused, mostly {_IMAGE_FAULTS[worst]}",
            evidence=(
                f"In the last {duration(seen.now - hour.start)} {refused} of {hour.requests} pictures: {listed}.",
                "Each scores 0 for its challenge.",
            ),
            remedy=_IMAGE_REMEDIES[worst],
            data={"refused": refused, "requests": hour.requests, "reason": worst},
        )
    ]


_IMAGE_FAULTS: Mapping[str, str] = {
    "bad_image": "unreadable",
    "image_too_large": "too large to decode",
    "too_large": "in too large a body",
}
_IMAGE_REMEDIES: Mapping[str, str] = {
    "bad_image": "See what they send: streetvision log tail --status 400. Pictures that other programs show: please "
    "report them.",
    "image_too_large": "Raise --engine.max_megapixels, or --engine.decode_memory_mib where the machine has the memory.",
    "too_large": "Raise --axon.max_body_mib, and the body limit of a proxy before the miner.",
}
_UNKNOWN_REASON = "Read the miner's log for this reason; streetvision log tail shows the requests."


def latency_near_deadline(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Answers leave with little or no time to spare."""
    hour = recent(seen, limits)
    measured = sum(hour.headroom)
    tight = sum(n for n, edge in zip(hour.headroom, HEADROOM_EDGES, strict=False) if edge <= limits.headroom_s)
    late = hour.headroom[0] + sum(n for reason, n in hour.failed.items() if reason in LATE_REASONS)
    too_late = hour.requests >= limits.failing_requests and late >= limits.late_share * hour.requests
    if not too_late and (measured < limits.headroom_answers or tight < max(2.0, 0.01 * measured)):
        return []
    evidence = [f"{late} of {hour.requests} requests of the last hour were answered or refused too late."]
    if measured:
        spare = quantile(hour.headroom, HEADROOM_EDGES, 0.01)
        slow = quantile(hour.latency, LATENCY_EDGES, 0.99)
        evidence.append(
            f"99 of 100 answers leave at least {_floor(spare)} before the deadline and take up to "
            f"{min(slow, seen.timeout_s):g} s of the validators' {seen.timeout_s:g} s."
        )
    return [
        Finding(
            code="latency_near_deadline",
            severity=Severity.CRITICAL if too_late else Severity.WARNING,
            title="answers come too late" if too_late else "the slowest answers are near the deadline",
            evidence=tuple(evidence),
            remedy=_TOO_SLOW + " streetvision log stats shows which stage takes the time.",
            data={"late": late, "tight": tight, "answers": measured, "requests": hour.requests},
        )
    ]


def _floor(edge: float) -> str:
    """The lower end of the bin below `edge`."""
    lower = [0.0, *HEADROOM_EDGES][HEADROOM_EDGES.index(edge)] if edge in HEADROOM_EDGES else HEADROOM_EDGES[-1]
    return f"{lower:g} s"


def validator_silent(seen: Observation, limits: Thresholds) -> list[Finding]:
    """A validator with stake never asks, or has stopped, while the others ask."""
    latest = seen.latest
    if latest is None or not latest.registered or seen.traffic.listening_since is None or halt_of(seen, limits):
        return []
    total = sum(v.stake for v in seen.validators)
    found = []
    for validator in seen.validators:
        weight = validator.stake / total if total > 0 else 0.0
        awake = latest.block - validator.last_update <= IDLE_BLOCKS
        age = (latest.block - validator.registered_at) * SECONDS_PER_BLOCK
        awake = awake and age >= limits.silent_validator_s
        if weight >= limits.silent_validator_stake and awake and validator.hotkey != seen.hotkey:
            sentences = _silent(seen, validator, limits)
            if sentences:
                found.append(_silent_finding(validator, weight, sentences))
    return found


def _silent(seen: Observation, validator: ValidatorView, limits: Thresholds) -> tuple[str, ...]:
    """Evidence that it is silent; empty when it is not, or when nobody can tell."""
    traffic, hotkey = seen.traffic, validator.hotkey
    week = traffic.between(seen.now - 7 * DAY, seen.now + 1)
    last = max((b.last for b in week if hotkey in b.validators), default=0.0)
    last = max(last, traffic.seen.get(hotkey, 0.0))
    if last == 0.0:
        return _never(seen, traffic, limits)
    before = [b for b in week if b.start <= last]
    own, all_then = sum(b.validators.get(hotkey, 0) for b in before), sum(b.requests for b in before)
    others_since = sum(b.requests for b in week if b.start > last)
    usual = own / all_then if all_then else 0.0
    expected = others_since * usual / max(1e-9, 1 - usual)
    if min(own, expected) < limits.silence_expected:
        return ()
    counted = whole_buckets(traffic, last)
    together = max(
        burst_size([b.validators.get(hotkey, 0) for b in counted]), burst_size([b.requests for b in counted])
    )
    if min(own, expected) < together * limits.silence_expected:
        return ()
    return (
        f"Its last request came {moment(last)}; the others have sent {others_since} since.",
        f"It used to send {share(usual)} of all requests: about {expected:.0f} would have come meanwhile.",
    )


def _never(seen: Observation, traffic: Traffic, limits: Thresholds) -> tuple[str, ...]:
    heard = sum(b.span for b in traffic.between(seen.now - 2 * limits.silent_validator_s, seen.now))
    others = traffic.total(seen.now - limits.silent_validator_s, seen.now).requests
    if heard < limits.silent_validator_s or others < 2 * limits.silence_expected:
        return ()
    return (f"In the last day the others sent {others} requests, this one none.",)


def _silent_finding(validator: ValidatorView, weight: float, sentences: tuple[str, ...]) -> Finding:
    return Finding(
        code="validator_silent",
        severity=Severity.WARNING if weight >= _MATTERS else Severity.INFO,
        title=f"validator {short(validator.hotkey)} (UID {validator.uid}, {share(weight)} of the stake) does not ask",
        evidence=(*sentences, f"It sets weights as usual (last at block {validator.last_update})."),
        remedy="Check that no firewall and no --blacklist setting keeps it out (streetvision log tail shows refusals); "
        "if nothing does, ask its operator.",
        subject=validator.hotkey,
        data={"uid": validator.uid, "stake": validator.stake, "stake_share": round(weight, 4)},
    )


_MATTERS = 0.1
"""Share of the stake from which one validator's silence is worth an alert: it moves the weighted median."""


REQUEST_RULES = (
    Rule(
        "no_requests",
        Severity.CRITICAL,
        "Nobody asks for longer than usual at this time of day, learned from the last week",
        "Check the port from outside; else wait for the validators",
        no_requests,
    ),
    Rule(
        "requests_failing",
        Severity.CRITICAL,
        "A tenth or more of the last hour's requests got no answer, for another reason than their picture",
        "Depends on the commonest reason, which the finding names",
        requests_failing,
    ),
    Rule(
        "images_refused",
        Severity.CRITICAL,
        "A tenth or more of the last hour's pictures were refused: too large for a limit, or unreadable",
        "The limit to raise, which the finding names",
        images_refused,
    ),
    Rule(
        "latency_near_deadline",
        Severity.CRITICAL,
        "More than one answer in a hundred has under a second to spare, or one request in twenty is too late",
        "Less other load, a smaller model, or a GPU",
        latency_near_deadline,
    ),
    Rule(
        "validator_silent",
        Severity.WARNING,
        "A validator with stake never asks, or has stopped, while others ask and it sets weights",
        "Firewall, blacklist settings, else its operator",
        validator_silent,
        of_subnet=True,
    ),
)
