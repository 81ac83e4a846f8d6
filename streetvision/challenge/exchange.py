"""One signed challenge over HTTP: sent as a validator would send it, and what came back. Blocking: for a thread.

The other end may be anything: every wait ends, no reply is read beyond its bound, and nothing in it is believed.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from streetvision.axon.client import legacy_headers, request_body
from streetvision.subnet import SUBNET

REPLY_LIMIT = 65_536
"""Bytes of a reply that are read; an answer has a hundred."""
NO_ANSWER = 0
"""In place of an HTTP status."""


class Protocol(StrEnum):
    """How the challenge is signed."""

    LEGACY = "legacy"
    """As dendrites of bittensor 9.x and 10.x do it."""
    BTAUTH = "btauth"
    """As bittensor 11 does it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask."""

    host: str
    port: int
    hotkey: str
    """The miner's, ss58: a signature holds for one receiver."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one challenge."""

    status: int
    """HTTP status; NO_ANSWER when none arrived."""
    probability: float | None
    """None unless the answer is a number in [0, 1]."""
    seconds: float
    """From the connection's start to the whole reply."""
    message: str = ""
    """What the miner said of a refusal, or why nothing arrived."""


def send(
    target: Target,
    signer: Any,  # noqa: ANN401 - the SDK's Keypair is a native class without stubs
    image: bytes,
    *,
    protocol: Protocol = Protocol.LEGACY,
    timeout_s: float = SUBNET.timeout_s,
) -> Outcome:
    """Send an encoded image, signed now; never raises for what the other end does. `timeout_s` bounds all of it."""
    content = request_body(image)
    headers = _headers(target, signer, content, protocol, timeout_s)
    started = time.monotonic()
    connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout_s)
    status, reply, trouble = NO_ANSWER, b"", ""
    response: http.client.HTTPResponse | None = None
    with closing(connection), _ended_after(connection, timeout_s) as late:
        try:
            connection.request("POST", f"/{SUBNET.synapse}", content, headers)
            response = connection.getresponse()
            status, reply = response.status, response.read(REPLY_LIMIT)
            if response.length and len(reply) < REPLY_LIMIT:
                raise http.client.IncompleteRead(reply, response.length)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            cut_off = response is not None and isinstance(error, ConnectionError)
            trouble = _words(http.client.IncompleteRead(b"") if cut_off else error, target)
        if late.is_set():  # what was cut off may read like an end
            trouble = f"no answer within {timeout_s:g} s"
    seconds = time.monotonic() - started
    return Outcome(NO_ANSWER, None, seconds, trouble) if trouble else _outcome(status, reply, seconds)


def _headers(target: Target, signer: Any, content: bytes, protocol: Protocol, timeout_s: float) -> dict[str, str]:  # noqa: ANN401
    if protocol is Protocol.LEGACY:
        return legacy_headers(
            signer, target.hotkey, nonce_ns=time.time_ns(), uuid=str(uuid.uuid4()), timeout_s=timeout_s
        )
    from bittensor import http_auth

    path = f"/{SUBNET.synapse}"
    signed = http_auth.sign(signer, method="POST", path=path, body=content, receiver_ss58=target.hotkey)
    return {**signed, "content-type": "application/json"}


@contextmanager
def _ended_after(connection: http.client.HTTPConnection, seconds: float) -> Iterator[threading.Event]:
    """Cut the connection when the time is over: a timeout of its own restarts with every byte that trickles in."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        if connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it had ended by itself

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _outcome(status: int, reply: bytes, seconds: float) -> Outcome:
    try:
        fields = json.loads(reply)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return Outcome(status, None, seconds, "the reply is no JSON object")
    if status != 200:
        return Outcome(status, None, seconds, str(fields.get("message", ""))[:200])
    answer = fields.get(SUBNET.answer_field)
    if isinstance(answer, bool) or not isinstance(answer, int | float) or not 0 <= answer <= 1:  # NaN is not either
        return Outcome(status, None, seconds, f"the answer is no probability: {str(answer)[:40]}")
    return Outcome(status, float(answer), seconds)


def _words(error: Exception, target: Target) -> str:
    known = (
        (socket.gaierror, f"the name {target.host} is not known"),
        (UnicodeError, f"{target.host} cannot be the name of a host"),
        (ConnectionRefusedError, "connection refused"),
        (ConnectionError, "the other end closed the connection without an answer"),
        (TimeoutError, "no answer in time"),
        (http.client.IncompleteRead, "the other end closed the connection within its answer"),
        (http.client.HTTPException, "what listens there does not speak HTTP"),
    )
    for kind, words in known:
        if isinstance(error, kind):
            return words
    return (getattr(error, "strerror", None) or type(error).__name__).lower()
