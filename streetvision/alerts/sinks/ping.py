"""The dead man's switch: a call now and then while the miner is well. When it stays away, others raise the alarm."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

from streetvision.alerts.alert import Alert
from streetvision.alerts.sinks.sink import Reply, SinkRequest, where_of
from streetvision.settings.alerts import AlertSettings
from streetvision.settings.secret import Secret


class Pulse(StrEnum):
    """Health of the miner, as the ping tells it."""

    WELL = "well"
    CRITICAL = "critical"
    STOPPED = "stopped"
    """No pass of the rules for long: nobody knows how the miner is."""


class Ping:
    """One address of a service such as healthchecks.io."""

    name = "ping"

    def __init__(
        self, url: Secret, *, method: str = AlertSettings.ping_method, on_critical: str = AlertSettings.ping_on_critical
    ) -> None:
        self._url, self._method, self._fails = url, method, on_critical == "fail"
        self.where = where_of(url)

    def beat(self, pulse: Pulse) -> SinkRequest | None:
        """The request to make now; None to stay silent."""
        if pulse is Pulse.WELL:
            return SinkRequest(self._url, method=self._method, headers={})
        if pulse is Pulse.CRITICAL and self._fails:
            return SinkRequest(failing(self._url), method=self._method, headers={})
        return None

    def request(self, alert: Alert) -> SinkRequest:
        """A test is one call, whatever the alert says."""
        return SinkRequest(self._url, method=self._method, headers={})

    def refused(self, reply: Reply) -> str | None:
        """Any 2xx is a success."""
        return None


def failing(url: Secret) -> Secret:
    """The address with `/fail` at the end of its path."""
    parts = urlsplit(url.reveal())
    return Secret(urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/fail")))
