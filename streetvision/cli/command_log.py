"""What the rooms log while a command runs: words for its user, not lines of a service."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from loguru import logger

from streetvision.base.log_text import escaped

if TYPE_CHECKING:
    from loguru import Record

LEVEL = "INFO"


def log_in_words() -> None:
    """Send the log to stderr as sentences; a warning or an error says that it is one."""
    logger.remove()
    logger.add(_write, level=LEVEL, format=_sentence, backtrace=False, diagnose=False)


def _write(message: str) -> None:
    sys.stderr.write(message)


def _sentence(record: Record) -> str:
    level = record["level"]
    kind = f"{level.name.lower()}: " if level.no >= logger.level("WARNING").no else ""
    record["extra"]["text"] = escaped(record["message"])
    return kind + "{extra[text]}\n{exception}"
