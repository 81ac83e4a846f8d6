"""Logging: loguru for everything, human on a terminal, JSON lines with a flag, always on stderr.

Whoever logs hands a line to a thread and goes on: the event loop never waits for a terminal, a pipe or a disk.
"""

from __future__ import annotations

import atexit
import io
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from loguru import logger

from streetvision.base.line_writer import LineWriter, Write, stop_blocking, writing_to
from streetvision.base.log_text import bounded, escaped

if TYPE_CHECKING:
    from loguru import Message, Record, RecordException

FLUSH_S = 1.0
"""Longest wait at the end of the process for somebody who reads the last lines."""
_HUMAN = "<green>{time:YYYY-MM-DD HH:mm:ss.SSS}</green> | <level>{level: <7}</level> | <level>{extra[text]}</level>"
_MAX_PRINTED = 4096
"""Characters of a printed line; a longer one is cut."""

_writer: LineWriter | None = None
"""The process has one log, as it has one stderr."""
_dropped_before = 0
"""Lines that earlier writers of this process dropped."""


class Intercept(logging.Handler):
    """Send the standard library's records (uvicorn, the SDK, torch) to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, under the name of the room or library it comes from; one that is broken raises nothing."""
        try:
            self._pass_on(record)
        except Exception:  # noqa: BLE001 - whoever logs must not fail by it; this prints what is wrong
            self.handleError(record)

    def _pass_on(self, record: logging.LogRecord) -> None:
        level: str | int = record.levelname if record.levelname in logging.getLevelNamesMapping() else record.levelno
        package, _, rest = record.name.partition(".")
        room = rest.partition(".")[0] if package == "streetvision" else record.name
        logger.opt(exception=record.exc_info).log(level, "{}: {}", room or package, record.getMessage())


def _human(record: Record) -> str:
    """A format for this record: message and traceback hold what others wrote."""
    text = record["message"]
    if record["exception"] is not None:
        text = f"{text}\n{_trace(record['exception'])}"
    record["extra"]["text"] = escaped(bounded(text))
    return f"{_HUMAN}\n"


def _trace(exception: RecordException) -> str:
    return "".join(traceback.format_exception(*exception)).rstrip("\n")


def _json_sink(put: Callable[[str], None]) -> Callable[[Message], None]:
    def write(message: Message) -> None:
        record = message.record
        line = {
            "time": record["time"].isoformat(),
            "level": record["level"].name,
            "message": bounded(record["message"]),
            **record["extra"],
        }
        if record["exception"] is not None:
            line["exception"] = bounded(str(record["exception"].value))
        put(json.dumps(line, default=str) + "\n")

    return write


def _plain_line(level: str, text: str, *, as_json: bool) -> str:
    """A line of the log that did not come through loguru."""
    now = datetime.now().astimezone()
    if as_json:
        return json.dumps({"time": now.isoformat(), "level": level, "message": text}) + "\n"
    return f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03} | {level: <7} | {escaped(text)}\n"


def configure_logging(*, debug: bool = False, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Replace every log handler of the process; `stream` defaults to stderr."""
    _open_standard_streams()
    target = sys.stderr if stream is None else stream
    level = "DEBUG" if debug else "INFO"
    logger.remove()
    writer = _begin(target, as_json=as_json)
    if as_json:
        logger.add(_json_sink(writer.put), level=level)
    else:
        colour = target.isatty()
        logger.add(writer.put, level=level, format=_human, colorize=colour, backtrace=False, diagnose=False)
    _take_over_handlers()
    logging.basicConfig(handlers=[Intercept()], level=logging.INFO if debug else logging.WARNING, force=True)
    # Our own rooms that must run without loguru (engine, models) log through the standard library.
    logging.getLogger("streetvision").setLevel(logging.DEBUG if debug else logging.INFO)


def take_over_streams(*, as_json: bool = False) -> None:
    """What libraries print, warn of or leave as a traceback becomes lines of the log; after `configure_logging`.

    For a process that prints no data of its own. Streams that were replaced already, as a test does, are left alone.
    """
    logging.captureWarnings(capture=True)
    for name in ("stdout", "stderr"):
        own: TextIO | None = getattr(sys, f"__{name}__")
        if own is not None and getattr(sys, name) is own:
            own.flush()
            setattr(sys, name, _Printed(own.fileno(), as_json=as_json))
            stop_blocking(own.fileno())


def _open_standard_streams() -> None:
    """Whoever started us may have closed them: the next file opened would stand in their place, and be printed into."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            stream = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def lines_dropped() -> int:
    """Lines of the log that nobody read, since the start of the process."""
    return _dropped_before + (0 if _writer is None else _writer.dropped)


def flush_log(timeout_s: float = FLUSH_S) -> bool:
    """Wait until all lines are written; False when nobody reads them."""
    return _writer is None or _writer.flush(timeout_s)


def close_log() -> None:
    """Write the last lines, if somebody reads them within FLUSH_S; safe to repeat."""
    if _writer is not None:
        _writer.close(FLUSH_S)


def _begin(target: TextIO, *, as_json: bool) -> LineWriter:
    global _writer, _dropped_before  # noqa: PLW0603 - the process has one log
    if _writer is None:
        atexit.register(close_log)
    else:
        _writer.close(FLUSH_S)
        _dropped_before += _writer.dropped
    _writer = LineWriter(
        _writing(target),
        lambda lines: _plain_line("WARNING", f"{lines} lines were dropped here: nobody read them", as_json=as_json),
    )
    return _writer


def _writing(target: TextIO) -> Write:
    """Straight to the descriptor, past Python's buffer and its lock; a stream without one is written as text."""
    try:
        descriptor = target.fileno()
    except (OSError, ValueError, AttributeError):

        def write(data: bytes) -> int:
            target.write(data.decode())
            target.flush()
            return len(data)

        return write
    return writing_to(descriptor)


class _Printed(io.TextIOBase):
    """Stands for stdout or stderr: whole lines go to the log."""

    encoding = "utf-8"

    def __init__(self, descriptor: int, *, as_json: bool) -> None:
        self._descriptor, self._as_json = descriptor, as_json
        self._rest = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Take text; a line is logged when it is complete. A progress bar's states before the last are left out."""
        with self._lock:
            *lines, rest = (self._rest + text).split("\n")
            self._rest = rest.rpartition("\r")[2][-_MAX_PRINTED:]
        for line in lines:
            self._log(line.rstrip("\r").rpartition("\r")[2])
        return len(text)

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """Of the real stream, for children and crash handlers."""
        return self._descriptor

    def _log(self, line: str) -> None:
        if line.strip() and _writer is not None:
            _writer.put(_plain_line("INFO", line[:_MAX_PRINTED], as_json=self._as_json))


def _take_over_handlers() -> None:
    """Libraries that print through handlers of their own (torch does) would break a log of JSON lines."""
    for known in list(logging.root.manager.loggerDict.values()):
        if isinstance(known, logging.Logger) and any(_prints(handler) for handler in known.handlers):
            known.handlers = [handler for handler in known.handlers if not _prints(handler)]
            known.propagate = True


def _prints(handler: logging.Handler) -> bool:
    return getattr(handler, "stream", None) in (sys.stderr, sys.stdout)
