"""Logged rows for people: a line each in 80 columns, or all of one. Pure: rows in, text out."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from streetvision.base.wording import clipped
from streetvision.prediction_log.comparison import DECISION
from streetvision.prediction_log.row import LogRow

_LINE = "{:>7} {:<14} {:<7} {:<8} {:<16} {:>9} {:>6} {:>5}"
HEADER = _LINE.format("ID", "TIME", "CALLER", "MODEL", "ANSWER", "PIXELS", "MS", "LEFT")

IMAGE_WORDS = {
    "stored": "stored",
    "evicted": "removed to keep the log within its size and age, or found missing",
    "dropped": "was never written: the disk or the log's queue was full",
    "none": "none arrived",
}


def local_time(seconds: float, style: str = "%m-%d %H:%M:%S") -> str:
    """Unix seconds in this machine's time zone."""
    return datetime.fromtimestamp(seconds).astimezone().strftime(style)


def row_line(row: LogRow) -> str:
    """One row under `HEADER`."""
    pixels = f"{row.width}x{row.height}" if row.width else "-"
    left = "-" if row.headroom_s is None else f"{row.headroom_s:.1f}"
    line = _LINE.format(
        row.id,
        local_time(row.time),
        caller(row.uid, row.validator),
        clipped(row.model_version or "-", 8),
        clipped(answer(row), 16),
        pixels,
        f"{total_seconds(row) * 1e3:.0f}",
        left,
    )
    return line.rstrip()


def row_page(row: LogRow, image: Path | None) -> str:
    """Every field of one row, and where its image lies."""
    uid = "no UID then" if row.uid is None else f"UID {row.uid}"
    answered = row.probability is not None
    stages = [("admission", row.admission_s), ("body", row.body_s), ("decode", row.decode_s)]
    stages += [("queue", row.queue_s), ("inference", row.inference_s), ("reply", row.reply_s)]
    lines = [
        ("id", str(row.id)),
        ("time", local_time(row.time, "%Y-%m-%d %H:%M:%S.%f %Z")),
        ("validator", f"{row.validator} ({uid})"),
        ("dialect", row.dialect),
        ("status", f"{row.status} {row.reason}"),
        ("answer", answer(row) if answered else "none"),
        ("probability", f"{row.probability:.9g}" if row.probability is not None else "-"),
        ("logit", f"{row.logit:.9g}" if row.logit is not None else "-"),
        ("model", row.model_version or "-"),
        ("views", str(row.views)),
        *_members(row),
        ("served by", row.served_by or "-"),
        ("batch size", str(row.batch_size)),
        ("embedding", "none" if row.embedding is None else f"{row.embedding.size} numbers (float16)"),
        *((name, f"{seconds * 1e3:.1f} ms") for name, seconds in stages),
        ("headroom", "-" if row.headroom_s is None else f"{row.headroom_s:.3f} s"),
        ("pixels", f"{row.width} x {row.height}" if row.width else "unknown"),
        ("size", f"{row.size_bytes:,} bytes{_lack(row)}"),
        ("sha256", row.sha256 or "-"),
        ("image", _image(row, image)),
    ]
    return "\n".join(f"{name:<12} {value}" for name, value in lines)


def _members(row: LogRow) -> list[tuple[str, str]]:
    """What the members of an ensemble said, and the router's part in it."""
    alone = [("first", row.first_probability), ("second", row.second_probability)]
    told = [(name, f"{probability:.9g}") for name, probability in alone if probability is not None]
    return told if row.router is None else [*told, ("router", row.router)]


def answer(row: LogRow) -> str:
    """`0.972 roadwork`, or why there was none."""
    if row.probability is None:
        return f"{row.status} {row.reason}"
    return f"{row.probability:.3f} {decision(row.probability)}"


def decision(probability: float) -> str:
    """What the validators read in this number."""
    return "roadwork" if probability > DECISION else "none"


def caller(uid: int | None, validator: str) -> str:
    """Seven columns at most: the UID, or the hotkey's beginning."""
    if uid is None:
        return f"{validator[:6]}…"
    return f"UID {uid}" if uid < 1000 else f"#{uid}"


def total_seconds(row: LogRow) -> float:
    """From the first byte to the reply."""
    return row.admission_s + row.body_s + row.decode_s + row.queue_s + row.inference_s + row.reply_s


def _lack(row: LogRow) -> str:
    """Why a picture may look odd."""
    return "" if row.decoded is None else f", without its end: {row.decoded:.1%} of the pixels decoded"


def _image(row: LogRow, path: Path | None) -> str:
    if row.image == "stored":
        return "gone: the log says stored, but the file is not there" if path is None else str(path)
    return IMAGE_WORDS[row.image]
