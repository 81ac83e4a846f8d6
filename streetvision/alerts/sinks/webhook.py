"""Any other receiver: the alert as JSON, signed on request. docs/monitoring.md describes the body."""

from __future__ import annotations

import hashlib
import hmac
import json

from streetvision.alerts.alert import Alert
from streetvision.alerts.sinks.sink import Reply, Request, where_of
from streetvision.settings.secret import Secret

SCHEMA = 1
"""Raised when a field changes its meaning or goes; new fields do not count."""
SIGNATURE = "X-Streetvision-Signature"


class Webhook:
    """One address of the operator's own."""

    name = "webhook"

    def __init__(self, url: Secret, key: Secret = Secret()) -> None:  # noqa: B008 - immutable
        """With a `key`, each body is signed by it."""
        self._url, self._key = url, key
        self.where = where_of(url)

    def request(self, alert: Alert) -> Request:
        """`X-Streetvision-Signature: sha256=<hex HMAC-SHA256 of the body>` comes with a key."""
        body = json.dumps({"schema": SCHEMA, **alert.as_dict()}).encode()
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers[SIGNATURE] = f"sha256={signature(body, self._key)}"
        return Request(self._url, body, headers=headers)

    def refused(self, reply: Reply) -> str | None:
        """Any 2xx is a success."""
        return None


def signature(body: bytes, key: Secret) -> str:
    """Hex HMAC-SHA256."""
    return hmac.new(key.reveal().encode(), body, hashlib.sha256).hexdigest()
