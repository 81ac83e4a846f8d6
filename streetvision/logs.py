"""Logging: loguru for everything, human on a terminal, JSON lines with a flag, always on stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from loguru import logger

if TYPE_CHECKING:
    from loguru import Message

_HUMAN = "<green>{time:YYYY-MM-DD HH:mm:ss.SSS}</green> | <level>{level: <7}</level> | <level>{message}</level>"


class Intercept(logging.Handler):
    """Send the standard library's records (uvicorn, the SDK, torch) to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, under the name of the room or library it comes from."""
        level: str | int = record.levelname if record.levelname in logging.getLevelNamesMapping() else record.levelno
        package, _, rest = record.name.partition(".")
        room = rest.partition(".")[0] if package == "streetvision" else record.name
        logger.opt(exception=record.exc_info).log(level, "{}: {}", room or package, record.getMessage())


def _json_sink(stream: TextIO) -> Callable[[Message], None]:
    def write(message: Message) -> None:
        record = message.record
        line = {
            "time": record["time"].isoformat(),
            "level": record["level"].name,
            "message": record["message"],
            **record["extra"],
        }
        if record["exception"] is not None:
            line["exception"] = str(record["exception"].value)
        stream.write(json.dumps(line, default=str) + "\n")
        stream.flush()

    return write


def configure_logging(*, debug: bool = False, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Replace every log handler of the process; `stream` defaults to stderr."""
    target = sys.stderr if stream is None else stream
    level = "DEBUG" if debug else "INFO"
    logger.remove()
    if as_json:
        logger.add(_json_sink(target), level=level)
    else:
        logger.add(target, level=level, format=_HUMAN, colorize=target.isatty(), backtrace=False, diagnose=False)
    _take_over_handlers()
    logging.basicConfig(handlers=[Intercept()], level=logging.INFO if debug else logging.WARNING, force=True)
    # Our own rooms that must run without loguru (engine, models) log through the standard library.
    logging.getLogger("streetvision").setLevel(logging.DEBUG if debug else logging.INFO)


def _take_over_handlers() -> None:
    """Libraries that print through handlers of their own (torch does) would break a log of JSON lines."""
    for known in list(logging.root.manager.loggerDict.values()):
        if isinstance(known, logging.Logger) and any(_prints(handler) for handler in known.handlers):
            known.handlers = [handler for handler in known.handlers if not _prints(handler)]
            known.propagate = True


def _prints(handler: logging.Handler) -> bool:
    return getattr(handler, "stream", None) in (sys.stderr, sys.stdout)
