"""One validator does not ask, while others do."""

from __future__ import annotations

from streetvision.base.wording import moment, share, short
from streetvision.monitor.derived import burst_size, halt_of, whole_buckets
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import METAGRAPH, MINER, proves_after
from streetvision.monitor.observation import Observation, ValidatorView
from streetvision.monitor.point import IDLE_BLOCKS
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import DAY, HOUR, SECONDS_PER_BLOCK, Thresholds
from streetvision.monitor.traffic import Traffic

_MATTERS = 0.1
"""Share of the stake from which one validator's silence is worth an alert: it moves the weighted median."""


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


RULES = (
    Rule(
        code="validator_silent",
        order=740,
        severity=Severity.WARNING,
        fault=Fault.VALIDATOR,
        meaning="A validator with stake never asks, or has stopped, while others ask and it sets weights",
        remedy="Firewall, blacklist settings, else its operator",
        judge=validator_silent,
        needs=(
            METAGRAPH,
            MINER,
        ),
        of_subnet=True,
        absence=proves_after(DAY + HOUR),
    ),
)
