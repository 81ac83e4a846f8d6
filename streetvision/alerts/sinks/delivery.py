"""One HTTP exchange with a sink, and its repetition until it succeeds or there is no point in going on.

No error tells an address or a token: the client's errors are reworded or scrubbed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isnan
from urllib.parse import urlsplit

from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # its __all__ is computed

from streetvision import __version__
from streetvision.alerts.alert import Alert
from streetvision.alerts.sinks.sink import Reply, Sink, SinkRequest, scrubbed
from streetvision.base.wording import duration
from streetvision.errors import OperatorError, reason
from streetvision.settings.parsing import is_loopback

MAX_BODY = 64 * 1024
"""Bytes read of a reply; the rest is left."""
LONGEST_WAIT_S = 900.0
"""A service that asks for more patience than this is not asked again for the same message."""
_CLIENT = frozenset({httpx.__name__, "httpcore", "httpcore2"})
_RETRIED = frozenset({408, 425, 429, *range(500, 600)})
_MEANINGS = {
    401: "the address or token is wrong or was revoked",
    403: "it may not write there",
    404: "there is nothing at this address: the webhook was deleted, or the address is wrong",
    410: "the webhook was deleted",
}


class DeliveryError(OperatorError):
    """A message did not arrive: one clause that says why, without secrets."""


class _AgainError(DeliveryError):
    """Worth another try, perhaps after the time that the service named."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class Patience:
    """Attempts and pauses of one delivery."""

    attempts: int = 7
    """About ten minutes with these pauses, and longer where the service asks for it."""
    first_pause_s: float = 5.0
    """Doubled each time, with a quarter of it at random."""
    longest_pause_s: float = 240.0
    attempt_s: float = 20.0
    """Time limit of one attempt, however slowly the other side speaks."""


ONCE = Patience(attempts=1)


def quiet_client_log() -> None:
    """The client logs every address that it asks and every redirect: they are secrets here."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _CLIENT:
            logging.getLogger(name).setLevel(logging.WARNING)


async def deliver(
    sink: Sink,
    alert: Alert,
    patience: Patience,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    rng: random.Random | None = None,
) -> None:
    """Send one alert; DeliveryError when it was given up."""
    request, rng = sink.request(alert), rng or random.Random()
    for attempt in range(1, patience.attempts + 1):
        try:
            reply = await exchange(request, patience.attempt_s)
            if (why := sink.refused(reply)) is not None:
                raise DeliveryError(scrubbed(why, request.url))
        except _AgainError as error:
            wait = _pause(attempt, patience, rng) if error.after_s is None else error.after_s
            if attempt == patience.attempts or wait > LONGEST_WAIT_S:
                raise DeliveryError(str(error)) from None
            await sleep(wait)
        else:
            return


def _pause(attempt: int, patience: Patience, rng: random.Random) -> float:
    pause = min(patience.longest_pause_s, patience.first_pause_s * 2 ** (attempt - 1))
    return float(pause * (1 + 0.25 * rng.random()))


async def exchange(request: SinkRequest, seconds: float) -> Reply:
    """One request and its reply of status 2xx; DeliveryError for anything else, whatever the other side does."""
    quiet_client_log()
    try:
        async with asyncio.timeout(seconds):
            reply = await _ask(request)
    except TimeoutError:
        raise _AgainError(f"no answer within {seconds:g} s") from None
    except httpx.HTTPError as error:
        raise _AgainError(_words(error, request)) from None
    except (httpx.InvalidURL, ValueError, OSError) as error:
        raise DeliveryError(scrubbed(f"it cannot be asked: {reason(error)}", request.url)) from None
    _check(reply)
    return reply


async def _ask(request: SinkRequest) -> Reply:
    url = request.url.reveal()
    headers = {"User-Agent": f"streetvision/{__version__}", "Accept-Encoding": "identity", **request.headers}
    here = is_loopback(urlsplit(url).hostname or "")
    async with (
        httpx.AsyncClient(follow_redirects=False, timeout=None, trust_env=not here) as client,
        client.stream(request.method, url, content=request.body or None, headers=headers) as response,
    ):
        body = b""
        async for part in response.aiter_raw():
            body += part[: MAX_BODY - len(body)]
            if len(body) >= MAX_BODY:
                break
        return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)


def _words(error: Exception, request: SinkRequest) -> str:
    if isinstance(error, httpx.ConnectError):
        return scrubbed(f"no connection: {_root(error)}", request.url)
    return f"the connection failed ({type(error).__name__})"


def _root(error: BaseException) -> str:
    """The system's own error: the client wraps it several times over."""
    while isinstance(error, BaseExceptionGroup) or (error.__cause__ or error.__context__) is not None:
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
        return os.strerror(error.errno).lower()
    return (str(getattr(error, "strerror", "") or error) or type(error).__name__).lower()


def _check(reply: Reply) -> None:
    """DeliveryError unless the status is 2xx."""
    status = reply.status
    if 200 <= status < 300:
        return
    if status == 429:
        wait = retry_after(reply, time.time())
        when = "" if wait is None else f" for {duration(wait)}"
        raise _AgainError(f"it asks for fewer messages{when} (429)", wait)
    if status in _RETRIED:
        raise _AgainError(f"it answers {status}", retry_after(reply, time.time()))
    if 300 <= status < 400:
        raise DeliveryError(f"it answers {status}, a redirect, which is not followed: set the final address")
    raise DeliveryError(f"it answers {status}" + (f": {_MEANINGS[status]}" if status in _MEANINGS else ""))


def retry_after(reply: Reply, now: float) -> float | None:
    """Seconds that the service asks for: Retry-After in seconds or as a date, or `retry_after` in the body.

    A date is compared with the service's own clock where it tells its time: `now`, Unix seconds, may be wrong.
    """
    text = reply.headers.get("retry-after", "")
    try:
        return _sane(float(text))
    except ValueError:
        pass
    try:
        return _sane(parsedate_to_datetime(text).timestamp() - _told_time(reply, now))
    except (ValueError, TypeError, OverflowError):
        return _in_body(reply.body)


def _told_time(reply: Reply, now: float) -> float:
    try:
        return parsedate_to_datetime(reply.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return now


def _in_body(body: bytes) -> float | None:
    try:
        answer = json.loads(body)
        wait = answer.get("retry_after", answer.get("parameters", {}).get("retry_after"))
        return _sane(float(wait))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _sane(seconds: float) -> float:
    """At least a moment; ValueError for NaN."""
    if isnan(seconds):
        raise ValueError("not a number")
    return max(0.1, seconds)
