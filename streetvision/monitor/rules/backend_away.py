"""The backend does not answer, and the embedded model does in its place."""

from __future__ import annotations

from collections.abc import Mapping

from streetvision.base.wording import moment
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import MINER
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import Thresholds

REMEDIES: Mapping[str, str] = {
    "missing": "Install the extra that the backend needs (docs/scaling.md, docs/modal.md), or set --backend embedded.",
    "unreachable": "Check the address and that the backend runs: streetvision {command} status.",
    "refused": "Check the token of the backend on this machine.",
    "quota": "Raise the quota or the spending cap, or wait until it is renewed.",
    "unknown_version": "Deploy the version that serves: streetvision {command} deploy.",
    "other_weights": "Deploy the version that serves again: the one there has other weights under this name.",
    "skew": "Bring miner and backend to the same release of streetvision, then deploy again.",
    "overloaded": "Give the backend more replicas or a larger GPU: streetvision {command} status shows its queue.",
    "no_memory": "Give each replica more memory or a larger share of its GPU, or deploy fewer models to it.",
    "failed": "Read the backend's log: streetvision {command} status names its page.",
    "invalid": "Bring miner and backend to the same release of streetvision, then read the backend's log.",
    "late": "See whether the backend is overloaded or far away: streetvision {command} status.",
}
"""By trouble; `{command}` is the group of commands for the backend."""
COMMANDS: Mapping[str, str] = {"ray": "cluster"}
"""By the backend's name, where they differ."""
COLD = "Wait if it is starting; else see that it runs: streetvision {command} status."


def backend_away(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Its breaker has been open for longer than a cold start or a restart of it takes."""
    backend = seen.backend
    if backend is None or backend.state == "closed" or seen.now - backend.since < limits.backend_away_s:
        return []
    why = f": {backend.why}" if backend.why else ""
    return [
        Finding(
            code="backend_away",
            severity=Severity.WARNING,
            title=f"the backend {backend.name} does not answer, and the embedded model does in its place",
            evidence=(
                f"Since {moment(backend.since)}{why}.",
                f"The embedded model has answered {backend.embedded:,} requests in its place, as many as it can.",
            ),
            remedy=REMEDIES.get(backend.trouble, COLD).format(command=COMMANDS.get(backend.name, backend.name)),
            since=backend.since,
            data={"backend": backend.name, "trouble": backend.trouble, "embedded": backend.embedded},
        )
    ]


RULES = (
    Rule(
        code="backend_away",
        order=205,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="The backend (`--backend`) has not answered for two minutes; the embedded model answers in its place",
        remedy="`streetvision cluster status` or `streetvision modal status`; the finding names the step",
        judge=backend_away,
        needs=(MINER,),
        check="backend",
    ),
)
