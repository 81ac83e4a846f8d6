"""Nobody reaches the published endpoint."""

from __future__ import annotations

from streetvision.base.wording import moment
from streetvision.monitor.derived import silence_of
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import proves_after_requests
from streetvision.monitor.observation import Observation, Probe
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import Thresholds

_FRESH_MINER_S = 300.0
"""A miner that nobody has asked yet has an endpoint that nobody has proven."""


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


_PROBE = Need("the own endpoint was not tried", lambda seen, _: seen.probe is not None)

RULES = (
    Rule(
        code="endpoint_unreachable",
        order=510,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="The published address does not answer and no request has arrived lately",
        remedy="Open and forward the port; check --axon.external_ip",
        judge=endpoint_unreachable,
        needs=(_PROBE,),
        check="reachable",
        absence=proves_after_requests,
    ),
)
