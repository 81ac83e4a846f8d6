"""Rules about being found: the published endpoint, and whether anybody reaches it."""

from __future__ import annotations

from streetvision.base.wording import duration, moment
from streetvision.monitor.derived import silence_of
from streetvision.monitor.finding import Finding, Rule, Severity
from streetvision.monitor.observation import Observation, Probe
from streetvision.monitor.thresholds import Thresholds

_FRESH_MINER_S = 300.0
"""A miner that nobody has asked yet has an endpoint that nobody has proven."""


def endpoint_differs(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The chain shows another endpoint than ours, for longer than publishing takes."""
    latest = seen.latest
    if seen.endpoint is None or latest is None or not latest.registered or latest.axon == seen.endpoint:
        return []
    since = max(_wrong_since(seen), seen.traffic.listening_since or 0.0)
    if seen.now - since < limits.endpoint_grace_s:
        return []
    shown = latest.axon or "no endpoint"
    return [
        Finding(
            code="endpoint_differs",
            severity=Severity.CRITICAL,
            title=f"validators call {latest.axon}, not this miner"
            if latest.axon
            else "the chain has no endpoint of ours",
            evidence=(
                f"The chain shows {shown} for UID {latest.uid} at block {latest.block}; this miner listens at "
                f"{seen.endpoint}.",
                f"It has been so for {duration(seen.now - since)}; publishing takes at most 50 blocks (10 min).",
            ),
            remedy="Look for `endpoint:` in the miner's log: it says why the chain refuses to publish (a fee, another "
            "process with the same hotkey). If the address is wrong, name the right one with --axon.external_ip and "
            "--axon.external_port, and restart.",
            since=since,
            data={"on_chain": latest.axon, "ours": seen.endpoint},
        )
    ]


def _wrong_since(seen: Observation) -> float:
    since = seen.points[-1].time
    for point in reversed(seen.points):
        if not point.registered or point.axon == seen.endpoint:
            break
        since = point.time
    return since


def endpoint_unreachable(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The published address does not answer, and no validator has proven the contrary lately."""
    probe, latest = seen.probe, seen.latest
    if probe is None or probe.reached or (latest is not None and not latest.registered):
        return []
    if not _is_believed(seen, probe, limits):
        return []
    last = seen.traffic.last_request
    heard = f"The last request arrived {moment(last)}." if last else "No request has ever arrived."
    tried = "another machine" if probe.from_outside else "this machine, by the public address"
    return [
        Finding(
            code="endpoint_unreachable",
            severity=Severity.CRITICAL,
            title=f"{probe.endpoint} cannot be reached: {probe.detail}",
            evidence=(f"A connection from {tried} failed at {moment(probe.time)}: {probe.detail}.", heard),
            remedy=f"Open TCP port {probe.endpoint.rpartition(':')[2]} in the firewall and at the provider, forward it "
            "to this machine behind NAT; check that --axon.external_ip is this machine's public address. Try from "
            f"elsewhere: curl -m 5 http://{probe.endpoint}/",
            since=last or seen.traffic.listening_since,
            data={"endpoint": probe.endpoint, "detail": probe.detail, "from_outside": probe.from_outside},
        )
    ]


def _is_believed(seen: Observation, probe: Probe, limits: Thresholds) -> bool:
    """A request proves reach. From our own machine a failure counts only with silence: NAT may not loop back."""
    last = seen.traffic.last_request
    if last is not None and seen.now - last < limits.proof_of_reach_s:
        return False
    if probe.from_outside:
        return True
    silence = silence_of(seen, limits)
    if silence is None:
        return True
    return silence.unusual or (not silence.ever and silence.seconds >= _FRESH_MINER_S)


ENDPOINT_RULES = (
    Rule(
        "endpoint_differs",
        Severity.CRITICAL,
        "The chain shows another endpoint than this miner's for more than 15 minutes",
        "Read why publishing fails in the log, or set --axon.external_ip",
        endpoint_differs,
        of_subnet=True,
    ),
    Rule(
        "endpoint_unreachable",
        Severity.CRITICAL,
        "The published address does not answer and no request has arrived lately",
        "Open and forward the port; check --axon.external_ip",
        endpoint_unreachable,
    ),
)
