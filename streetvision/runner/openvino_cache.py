"""Converted models, kept between starts: converting and judging one takes up to minutes, and torch.

An entry is a folder, named by all that it depends on: weights, description, wish, processor, OpenVINO and our code. It
is used only if its files have the digests that it names; a damaged one is made anew. The oldest go first.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from streetvision.base.disk import exclusive, staging
from streetvision.errors import OperatorError, reason
from streetvision.models.versions import hash_file
from streetvision.runner.precision import Precision
from streetvision.runner.question import JUDGED, described, digest_of, key_of, package_files, processor

ENTRY, GRAPH, WEIGHTS = "entry.json", "model.xml", "model.bin"
MOST_ENTRIES = 16
MOST_BYTES = 4 << 30
CODE = (*JUDGED, "assets/rounding/*.jpg", "runner/openvino_*.py", "runner/weight_rounding.py")
"""What converts, calibrates and judges."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A converted model on disk."""

    graph: Path
    precision: Precision
    answers: tuple[float, ...]
    """Logits of the pictures of `noise`, as it gave them when it was made."""


class OpenVinoCache:
    """The entry on one question in a folder; `question` is all that it depends on."""

    def __init__(self, folder: Path, question: Mapping[str, object]) -> None:
        self._folder, self._path = folder, folder / key_of(question)

    def recall(self) -> Entry | None:
        """The entry of an earlier start, None if there is none that is whole."""
        if not self._path.exists():
            return None
        try:
            told = json.loads((self._path / ENTRY).read_text(encoding="utf-8"))
            for name, digest in told["files"].items():
                if name not in (GRAPH, WEIGHTS) or hash_file(self._path / name) != digest:
                    raise ValueError(f"{name} is not what was written")
            os.utime(self._path)  # the last to go
            answers = tuple(float(value) for value in told["answers"])
            return Entry(self._path / GRAPH, Precision(str(told["name"]), str(told["reason"])), answers)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            logger.warning("the converted model in %s is damaged (%s); it is made anew", self._path, reason(error))
            return None

    def remember(self, model: Any, precision: Precision, answers: tuple[float, ...]) -> None:  # noqa: ANN401
        """Keep an openvino.Model for the starts to come; what cannot be written costs the next start its time."""
        import openvino

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with staging(self._folder) as place:
                entry = place / "entry"
                entry.mkdir()
                openvino.serialize(model, entry / GRAPH, entry / WEIGHTS)
                files = {name: hash_file(entry / name) for name in (GRAPH, WEIGHTS)}
                told = {"name": precision.name, "reason": precision.reason, "answers": answers, "files": files}
                (entry / ENTRY).write_text(json.dumps(told), encoding="utf-8")
                self._put(entry, place)
        except (OSError, OperatorError, RuntimeError) as error:
            logger.warning("the converted model cannot be kept (%s); the next start converts anew", reason(error))

    def _put(self, entry: Path, place: Path) -> None:
        with exclusive(self._folder):
            if self._path.exists():
                self._path.rename(place / "former")
            entry.rename(self._path)
            _forget_oldest(self._folder)


def openvino_cache(folder: Path, description: Mapping[str, object], wish: str) -> OpenVinoCache:
    """About the model of that description, which names its weights' sha256, on this processor."""
    import openvino

    question = {
        "model": described(description),
        "wish": wish,
        "processor": processor(),
        "openvino": openvino.__version__,
        "code": _code(),
    }
    return OpenVinoCache(folder, question)


@cache
def _code() -> str:
    return digest_of(package_files(CODE))


def _forget_oldest(folder: Path) -> None:
    entries = [path for path in folder.iterdir() if len(path.name) == 64 and path.is_dir()]
    left = MOST_BYTES
    for place, path in enumerate(sorted(entries, key=os.path.getmtime, reverse=True)):
        left -= sum(file.stat().st_size for file in path.iterdir())
        if place and (place >= MOST_ENTRIES or left < 0):
            shutil.rmtree(path, ignore_errors=True)
