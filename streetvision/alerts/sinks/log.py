"""The miner's own log: the sink that is always there."""

from __future__ import annotations

from loguru import logger

from streetvision.alerts.alert import Alert, AlertItem, Change
from streetvision.monitor.finding import Severity

_LEVELS = {Severity.INFO: "INFO", Severity.WARNING: "WARNING", Severity.CRITICAL: "ERROR"}


def write(alert: Alert) -> None:
    """One line for each change, one for a digest's figures."""
    if alert.kind == "test":
        logger.info("alert: {}", alert.title)
    if alert.figures:
        logger.info("digest: {}", "; ".join(f"{name} {value}" for name, value in alert.figures))
        return
    for item in alert.items:
        _write_item(item)


def _write_item(item: AlertItem) -> None:
    if item.change is Change.RECOVERED:
        logger.success("alert: {}", item.headline)
        return
    found = item.finding
    logger.log(_LEVELS[found.severity], "alert: {}. {} {}", item.headline, " ".join(found.evidence), found.remedy)
