"""The ASGI application of the operator's port: a few fixed paths, for programs and browsers of this machine.

A page in some other tab of the operator's browser is the stranger to keep out: it may know this port, make the browser
call it, and have a name of its own resolve to 127.0.0.1. So only IP addresses and known names are taken as `Host`,
nothing is shared with other origins, and what costs the GPU is not started from there.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from loguru import logger
from prometheus_client import CollectorRegistry, Counter

from streetvision.net.asgi import ADMITTED, Receive, Scope, Send, respond

JSON = "application/json"
HTML = "text/html; charset=utf-8"
METHODS = ("GET", "HEAD")
BARE_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""Content security policy of everything that is no page."""
_ALWAYS = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("x-frame-options", "DENY"),
)


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response."""

    status: int
    body: bytes
    kind: str = JSON
    policy: str = BARE_POLICY
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a route may look at."""

    headers: Mapping[str, str]
    """Names in lower case."""
    query: str = ""


Route = Callable[[Asked], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Site:
    """The paths that are served."""

    routes: Mapping[str, Route]
    own_only: frozenset[str] = frozenset()
    """Paths that not even a link from another site may open."""


def as_json(status: int, value: Any) -> Response:  # noqa: ANN401 - any JSON value
    """A JSON document."""
    return Response(status, json.dumps(value, allow_nan=False).encode() + b"\n")


def failure(status: int, message: str, *headers: tuple[str, str]) -> Response:
    """A refusal that says why."""
    return Response(status, json.dumps({"message": message}).encode() + b"\n", headers=headers)


class OperatorApp:
    """Answers requests for the site; knows no sockets."""

    def __init__(self, site: Site, registry: CollectorRegistry, hosts: Collection[str] = ()) -> None:
        """`hosts`: names by which it may be called beside `localhost`; IP addresses always may."""
        self._site = site
        self._hosts = frozenset({"localhost", *(name.strip().lower() for name in hosts)})
        self._counter = Counter(
            "streetvision_http_requests",
            "Requests to the operator's port, by path and status",
            ["path", "status"],
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if scope["type"] != "http":
            return
        response = await self._answer(scope)
        path = scope["path"] if scope["path"] in self._site.routes else "other"
        self._counter.labels(path, str(response.status)).inc()
        await _send(scope, send, response)

    async def _answer(self, scope: Scope) -> Response:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if not self._is_known(headers.get("host", "")):
            return failure(421, "Call this port by an IP address, as localhost, or by a name in --metrics.hosts.")
        path, method = scope["path"], scope["method"]
        if _is_foreign(headers, strict=path in self._site.own_only):
            return failure(403, "Other sites may not call this port.")
        scope[ADMITTED] = True  # a connection that waits for its answer does not make room for others
        route = self._site.routes.get(path)
        if route is None:
            return failure(404, f"Nothing is served here; there are {', '.join(sorted(self._site.routes))}.")
        if method not in METHODS:
            return failure(405, "Only GET and HEAD are answered here.", ("allow", ", ".join(METHODS)))
        try:
            return await route(Asked(headers, scope.get("query_string", b"").decode("latin-1")))
        except Exception as error:  # noqa: BLE001 - a defect here must show in the log and never end the miner
            logger.opt(exception=error).error("{} failed: {!r}", path, error)
            return failure(500, "The miner could not answer this; its log says why.")

    def _is_known(self, host: str) -> bool:
        name = _name_of(host).lower().removesuffix(".")
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _name_of(host: str) -> str:
    """`Host` without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


def _is_foreign(headers: Mapping[str, str], *, strict: bool) -> bool:
    """Whether another site's page makes the browser ask; a link that somebody follows is no such thing."""
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return False
    return strict or headers.get("sec-fetch-mode") != "navigate"


async def _send(scope: Scope, send: Send, response: Response) -> None:
    fields = (
        ("content-type", response.kind),
        ("content-security-policy", response.policy),
        *_ALWAYS,
        *response.headers,
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")
    await respond(scope, send, response.status, head, response.body)
