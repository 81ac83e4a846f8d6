"""One bounded HTTP exchange with a back end: no redirect is followed, no body is believed to end, no key is told."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # its __all__ is computed

from streetvision import __version__
from streetvision.settings.parsing import is_loopback
from streetvision.settings.secret import Secret
from streetvision.synthesis.back_end import Declined, NotSent

CONNECT_S, QUICK_S = 10.0, 15.0
LARGEST_BYTES = 64 << 20
"""Of an answer: a picture or a short clip in base64."""
_REFUSED = {401: "the key is wrong or missing", 403: "the key may not do that", 404: "there is no such address"}
_BAD_ORDER = frozenset({400, 413, 415, 422})


@dataclass(frozen=True)
class Endpoint:
    """A server and the key it wants."""

    url: str
    """Without a slash at its end."""
    key: Secret

    def get(self, path: str) -> bytes:
        """What it says of itself, within QUICK_S; raises NotSent."""
        try:
            return self._exchange("GET", path, QUICK_S)
        except Declined as error:
            raise NotSent(
                f"{self.url} cannot be used ({error}): see to the server, or correct --synthetic.url"
            ) from None

    def post(self, path: str, seconds: float, **body: Any) -> Mapping[str, Any]:  # noqa: ANN401 - the client's own
        """The JSON object that it answers, all of it within so many seconds.

        Raises NotSent where surely nothing was done, and Declined where this order came to nothing.
        """
        data = self._exchange("POST", path, seconds, **body)
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise Declined("the answer is no JSON object")
        return answer

    def _exchange(self, method: str, path: str, seconds: float, **body: Any) -> bytes:  # noqa: ANN401 - as above
        headers = {"User-Agent": f"streetvision/{__version__}", "Accept-Encoding": "identity"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key.reveal()}"
        timeout, late = httpx.Timeout(seconds, connect=CONNECT_S), time.monotonic() + seconds
        try:
            here = is_loopback(httpx.URL(self.url).host)
            with (
                httpx.Client(follow_redirects=False, timeout=timeout, trust_env=not here) as client,
                client.stream(method, f"{self.url}{path}", headers=headers, **body) as response,
            ):
                self._check(response.status_code)
                return _bounded(response, late)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL):
            raise NotSent(f"no connection to {self.url}: start the server, or correct --synthetic.url") from None
        except httpx.TimeoutException:
            raise Declined(f"no answer within {seconds:g} s") from None
        except httpx.HTTPError as error:
            raise Declined(f"the connection failed ({type(error).__name__})") from None

    def _check(self, status: int) -> None:
        if status in _REFUSED:
            raise NotSent(
                f"{self.url} answers {status}, {_REFUSED[status]}: correct --synthetic.url or --synthetic.key"
            )
        if status == 429:
            raise NotSent(f"{self.url} asks for fewer requests (429): go on later with the same command")
        if status in _BAD_ORDER:
            raise Declined(f"the back end refuses the order ({status})", free=True)
        if not 200 <= status < 300:
            raise Declined(f"the back end answers {status}")


def _bounded(response: Any, late: float) -> bytes:  # noqa: ANN401 - the client's own
    """The body, which must be whole by `late`: the client's own limit is of each silence, however many there are."""
    body = bytearray()
    for part in response.iter_raw():
        if time.monotonic() > late:
            raise httpx.ReadTimeout("the answer comes too slowly")
        body += part
        if len(body) > LARGEST_BYTES:
            raise Declined(f"the answer is larger than {LARGEST_BYTES >> 20} MiB")
    return bytes(body)


def unpacked(text: object) -> bytes:
    """Bytes in base64, with or without the head of a data address; Declined for anything else."""
    if not isinstance(text, str):
        raise Declined("the answer holds no picture")
    try:
        return base64.b64decode(text.rpartition("base64,")[2], validate=True)
    except (binascii.Error, ValueError):
        raise Declined("the answer's picture is no base64") from None


def packed(data: bytes, kind: str) -> str:
    """A data address."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
