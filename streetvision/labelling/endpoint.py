"""One exchange with a chat completions API. Whatever the server does ends in a reply or in one of four failures.

Nothing follows a redirect, nothing is read beyond a bound, and no error tells the key or what was sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isfinite
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # its __all__ is computed

from streetvision import __version__
from streetvision.errors import OperatorError, reason
from streetvision.settings.parsing import is_loopback
from streetvision.settings.secret import Secret

MOST_BYTES = 1 << 20
"""Of a reply; a longer one is no answer."""
MOST_TOKENS = 10_000_000
"""A server that counts more for one question miscounts."""
CONNECT_S = 15.0
LONGEST_REST_S = 366 * 86400.0
"""A server that asks for more is taken to ask for so much."""
KEEP_ALIVE_S = 2.0
"""Shorter than servers keep a silent connection: a question into a closing one is lost, and counts as spent."""
_CLIENT = frozenset({httpx.__name__, "httpcore", "httpcore2"})
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_REFUSALS = {
    401: "the key is wrong or missing: set --oracle.key",
    402: "the account has no credit: pay in, or ask another",
    403: "the key may not use this model",
    404: "there is no such address or model: see --oracle.url and --oracle.model",
}
_SCHEMA_WORDS = ("response_format", "json_schema", "guided", "structured")


class Unreachable(OperatorError):
    """The server cannot be asked, and the next question would fare no better: one sentence."""


class NotPaid(Exception):
    """The question was surely not answered; it may be asked again, after the time that the server named."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


class Declined(Exception):
    """The server takes this question from nobody; it was not paid, and asking again is of no use."""


class NoSchema(Exception):
    """The server knows no structured answers; the question was not paid."""


class Lost(Exception):
    """The question went out, and whether it was answered nobody knows: it may have been paid."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A completion."""

    text: str
    problem: str = ""
    """Why there is no whole answer in it: a clause."""
    question_tokens: int | None = None
    answer_tokens: int | None = None
    """None where the server does not say, or says what cannot be."""


class Endpoint:
    """An API, asked over connections that are kept; use it within `async with`."""

    def __init__(self, url: str, key: Secret, timeout_s: float) -> None:
        self._url, self._key, self._timeout_s = url, key, timeout_s
        self._client: httpx.AsyncClient | None = None
        self.reached = False
        """Whether the server ever answered, in whatever way."""

    async def __aenter__(self) -> Self:
        quiet_client_log()
        here = is_loopback(urlsplit(self._url).hostname or "")
        timeout = httpx.Timeout(self._timeout_s, connect=min(CONNECT_S, self._timeout_s), pool=None)
        limits = httpx.Limits(max_connections=None, keepalive_expiry=KEEP_ALIVE_S)
        self._client = httpx.AsyncClient(follow_redirects=False, timeout=timeout, limits=limits, trust_env=not here)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def ask(self, body: Mapping[str, Any]) -> Reply:
        """One question; raises Unreachable, NotPaid, Declined, NoSchema or Lost."""
        try:
            async with asyncio.timeout(self._timeout_s):
                status, headers, data = await self._exchange("POST", "/chat/completions", json.dumps(body).encode())
        except _UNSENT as error:
            raise NotPaid(f"no connection ({_root(error)})") from None
        except TimeoutError:
            raise Lost(f"no answer within {self._timeout_s:g} s") from None
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise Lost(f"the connection failed ({type(error).__name__})") from None
        if status != 200:
            _refuse(status, headers, data, structured="response_format" in body)
        return read_reply(data)

    async def models(self) -> list[str]:
        """The models that the server has, by name; costs nothing. Raises Unreachable."""
        try:
            async with asyncio.timeout(self._timeout_s):
                status, _, data = await self._exchange("GET", "/models", None)
        except (httpx.HTTPError, TimeoutError, OSError, ValueError) as error:
            why = f"no answer within {self._timeout_s:g} s" if isinstance(error, TimeoutError) else _root(error)
            raise Unreachable(
                f"{self._url} cannot be asked ({why}): see that it runs, or correct --oracle.url"
            ) from None
        if status != 200:
            why = _REFUSALS.get(status, "see the server's log")
            raise Unreachable(f"{self._url}/models answers {status}: {why}")
        return _names(data)

    async def _exchange(self, method: str, path: str, content: bytes | None) -> tuple[int, Mapping[str, str], bytes]:
        if self._client is None:
            raise RuntimeError("an endpoint is used within `async with`")
        headers = {"User-Agent": f"streetvision/{__version__}", "Accept-Encoding": "identity"}
        headers |= {"Content-Type": "application/json"} if content else {}
        headers |= {"Authorization": f"Bearer {self._key.reveal()}"} if self._key else {}
        async with self._client.stream(method, f"{self._url}{path}", content=content, headers=headers) as response:
            self.reached = True
            data = b""
            async for part in response.aiter_raw():
                data += part
                if len(data) > MOST_BYTES:
                    break
            return response.status_code, {name.lower(): value for name, value in response.headers.items()}, data


def quiet_client_log() -> None:
    """The client logs what it asks."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _CLIENT:
            logging.getLogger(name).setLevel(logging.WARNING)


def read_reply(data: bytes) -> Reply:
    """A completion as a server sends it; what is odd becomes a problem, never an error."""
    if len(data) > MOST_BYTES:
        return Reply("", "the reply is too long")
    try:
        document = json.loads(data)
        choice = document["choices"][0]
        message = choice["message"]
        text, refusal, finish = message.get("content"), message.get("refusal"), choice.get("finish_reason")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Reply("", "the reply is no completion")
    usage = document.get("usage")
    counted = usage if isinstance(usage, dict) else {}
    tokens = _count(counted.get("prompt_tokens"), least=1), _count(counted.get("completion_tokens"))
    return Reply(text if isinstance(text, str) else "", _problem(text, refusal, finish), *tokens)


def _problem(text: object, refusal: object, finish: object) -> str:
    if refusal or finish == "content_filter":
        return "the model refused"
    if finish == "length":
        return "the answer was cut: raise --oracle.answer_tokens"
    return "" if isinstance(text, str) and text.strip() else "the answer is empty"


def _count(value: object, least: int = 0) -> int | None:
    """Tokens; None for what cannot be a count."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST_TOKENS:
        return None
    return value


def _refuse(status: int, headers: Mapping[str, str], data: bytes, *, structured: bool) -> None:
    """Raise what a status means."""
    if status in (429, 503):
        raise NotPaid(f"the server answers {status}", retry_after(headers, time.time()))
    if status in _REFUSALS:
        raise Unreachable(f"the oracle answers {status}: {_REFUSALS[status]}")
    if 300 <= status < 400:
        raise Unreachable(f"the oracle answers {status}, a redirect, which no key follows: set --oracle.url to its end")
    if 400 <= status < 500:
        words = data[:4096].decode(errors="replace").lower()
        if structured and any(word in words for word in _SCHEMA_WORDS):
            raise NoSchema
        raise Declined(f"the server answers {status}")
    raise Lost(f"the server answers {status}")


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a server asks for, as a number or a date (RFC 9110, 10.2.3); None where it asks for none."""
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, min(seconds, LONGEST_REST_S)) if isfinite(seconds) else None


def _names(data: bytes) -> list[str]:
    try:
        return [str(one["id"]) for one in json.loads(data)["data"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise Unreachable("what answers at --oracle.url is no OpenAI-compatible API: correct the address") from None


def _root(error: BaseException) -> str:
    """The system's own words: the client wraps them several times over."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower() if error.errno > 0 else reason(error)
    return type(error).__name__
