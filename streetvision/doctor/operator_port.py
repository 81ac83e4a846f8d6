"""The check of the operator's own port: metrics, health checks and the status page."""

from __future__ import annotations

import ipaddress
import json
from http.client import HTTPConnection, HTTPException

from streetvision.doctor.check import Check, failure, ok, skipped, warning
from streetvision.errors import OperatorError, reason
from streetvision.miner.endpoint import Endpoint
from streetvision.net.sockets import listen
from streetvision.settings.settings import Settings

NAME = "metrics"
ANSWER_S = 5.0
_SHOWN = 300
"""Characters of an answer that are repeated."""


def check_metrics(settings: Settings, *, running: bool) -> Check:
    """The running miner's own word on readiness; without a miner, whether the port is free."""
    if not settings.http_port:
        return skipped(NAME, "no port for metrics, health checks and the status page is set (--metrics.port)")
    place = Endpoint(settings.metrics.address, settings.http_port)
    return _asked(place) if running else _free(place)


def _free(place: Endpoint) -> Check:
    try:
        for bound in listen((place.ip,), place.port):
            bound.close()
    except OperatorError:
        remedy = f"Choose another --metrics.port, or see who has it: sudo ss -ltnp 'sport = :{place.port}'"
        return failure(NAME, f"{place} cannot be listened on", remedy)
    return ok(NAME, f"{place} is free")


def _asked(place: Endpoint) -> Check:
    address = ipaddress.ip_address(place.ip)
    host = place.ip if not address.is_unspecified else "::1" if address.version == 6 else "127.0.0.1"
    connection = HTTPConnection(host, place.port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/readyz", headers={"Host": str(Endpoint(host, place.port))})
        reply = connection.getresponse()
        body = reply.read(4096)
    except (OSError, HTTPException) as error:
        why = reason(error)
        return warning(
            NAME, f"{place} does not answer: {why}", "If the miner has another --metrics.port, name it here too."
        )
    finally:
        connection.close()
    words = " ".join(body.decode(errors="replace").split())[:_SHOWN]
    degraded = _degraded(body)
    if degraded:
        told = "; ".join(degraded)[:_SHOWN]
        return warning(NAME, f"{place} says ready, but degraded: {told}", "The other checks say what to do about it.")
    if reply.status == 200:
        return ok(NAME, f"{place} says that the miner is ready")
    return warning(NAME, f"{place}/readyz says {reply.status}: {words}", "The other checks say what to do about it.")


def _degraded(body: bytes) -> list[str]:
    """Troubles that /readyz tells of though the miner is ready; none where its answer is another."""
    try:
        told = json.loads(body)
        return [str(reason["message"]) for reason in told["degraded"]] if told["ready"] else []
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
