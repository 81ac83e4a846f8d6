"""A proxy between the validators and the axon changes requests on their way."""

from __future__ import annotations

from collections.abc import Mapping

from streetvision.base.wording import duration, plural, share
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import REFUSALS
from streetvision.monitor.observation import Observation, RefusalView
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import Thresholds

LOST = ("headers_dropped", "headers_renamed", "missing_header")
"""Refusals that look like a validator's request whose headers a proxy has changed; scanners cause none."""
_REMEDIES: Mapping[str, str] = {
    "headers_dropped": "Tell the proxy before the axon to pass header names with an underscore: nginx wants "
    "`underscores_in_headers on;` in its server block (docs/proxies.md has Caddy, HAProxy and Cloudflare too); or let "
    "validators reach the axon without it.",
    "missing_header": "Tell the proxy before the axon to pass all headers as they are (docs/proxies.md lists them), "
    "or let validators reach the axon without it.",
    "headers_renamed": "Tell the proxy before the axon to pass header names as they are (docs/proxies.md), or let "
    "validators reach the axon without it.",
}


def headers_lost(seen: Observation, limits: Thresholds) -> RefusalView | None:
    """The most frequent loss of the last hour, when it is more than a trial or two by hand."""
    lost = [refusal for refusal in seen.refusals or () if refusal.reason in LOST]
    worst = max(lost, key=lambda refusal: refusal.recent, default=None)
    if worst is None or sum(refusal.recent for refusal in lost) < limits.lost_requests:
        return None
    return worst


def nothing_arrives(seen: Observation, limits: Thresholds) -> bool:
    """Whether no validator's request has been proven for a while."""
    last = seen.traffic.last_request
    return last is None or seen.now - last >= limits.lost_quiet_s


def headers_missing(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Requests come that look like validators', and carry none of their headers."""
    worst = headers_lost(seen, limits)
    if worst is None:
        return []
    lost = sum(refusal.recent for refusal in seen.refusals or () if refusal.reason in LOST)
    proven = seen.traffic.total(seen.now - limits.recent_s, seen.now + 1).requests
    nothing = nothing_arrives(seen, limits)
    if not nothing and lost < limits.lost_share * proven:
        return []
    last = seen.traffic.last_request
    if last is None:
        whole = "No request with its headers has ever arrived."
    else:
        whole = f"The last request with its headers came {duration(max(0.0, seen.now - last))} ago."
    return [
        Finding(
            code="headers_missing",
            severity=Severity.CRITICAL if nothing else Severity.WARNING,
            title="validators' requests arrive without their headers",
            evidence=(
                f"{plural(lost, 'request')} of the last hour looked like a validator's but carried no identity.",
                whole if nothing else f"That is {share(lost / (lost + proven))} of what came in that hour.",
            ),
            remedy=_REMEDIES[worst.reason],
            data={"lost": lost, "requests": proven, "reason": worst.reason},
        )
    ]


def proxy_protocol(seen: Observation, limits: Thresholds) -> list[Finding]:
    """A proxy announces its clients in a line that HTTP does not know."""
    lines = next((r.recent for r in seen.refusals or () if r.reason == "proxy_protocol"), 0)
    if lines < limits.lost_requests:
        return []
    return [
        Finding(
            code="proxy_protocol",
            severity=Severity.CRITICAL if nothing_arrives(seen, limits) else Severity.WARNING,
            title="a proxy sends the PROXY protocol, which the axon does not read",
            evidence=(f"{plural(lines, 'connection')} of the last hour began with it and were refused.",),
            remedy="Switch it off in the proxy: `proxy_protocol on` in nginx's stream, `send-proxy` in HAProxy "
            "(docs/proxies.md).",
            data={"connections": lines},
        )
    ]


RULES = (
    Rule(
        code="headers_missing",
        order=600,
        severity=Severity.CRITICAL,
        fault=Fault.PROXY,
        meaning="Requests in a validator's form come without its headers, and (nearly) none with them",
        remedy="A proxy drops or renames them: `underscores_in_headers on` in nginx ([proxies.md](proxies.md))",
        judge=headers_missing,
        needs=(REFUSALS,),
        check="refused",
    ),
    Rule(
        code="proxy_protocol",
        order=610,
        severity=Severity.CRITICAL,
        fault=Fault.PROXY,
        meaning="Connections begin with a line of the PROXY protocol, which the axon does not read",
        remedy="Switch it off in the proxy ([proxies.md](proxies.md))",
        judge=proxy_protocol,
        needs=(REFUSALS,),
        check="refused",
    ),
)
