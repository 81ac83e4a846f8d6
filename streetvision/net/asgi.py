"""ASGI as the guarded listener speaks it: the types, and the keys of our own in a request's scope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ADMITTED = "streetvision.admitted"
"""Key in a request's scope, set once its caller is proven: such a connection is never closed to make room."""
BODY_COMPLETE = "streetvision.body_complete"
"""Key in a request's scope, set when the whole body has arrived: `receive` then answers without waiting."""
ON_LEAVE = "streetvision.on_leave"
"""Key in a request's scope, set while a prediction is awaited: called when the caller's connection is lost."""
REPLY = "streetvision.reply"
"""Key in a request's scope: `(status, head, body)` sends a whole response; `head` is header lines, each ending CRLF."""


async def respond(scope: Scope, send: Send, status: int, head: bytes, body: bytes) -> None:
    """One whole response, in one write where the server can; `head` is header lines, each ending CRLF."""
    reply = scope.pop(REPLY, None)
    if reply is not None:
        reply(status, head, body)
        return
    lines = (line.partition(b": ") for line in head.split(b"\r\n")[:-1])
    headers = [*((name, value) for name, _, value in lines), (b"content-length", b"%d" % len(body))]
    shown = b"" if scope["method"] == "HEAD" else body
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": shown})
