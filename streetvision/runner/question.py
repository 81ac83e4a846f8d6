"""What a verdict or a converted model depends on: the model's description, the processor, our code. Needs no torch."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

JUDGED = (
    "assets/calibration/*.jpg",
    "models/architectures/*.py",
    "models/heads/*.py",
    "models/logits.py",
    "models/network.py",
    "models/siglip.py",
    "runner/calibration_images.py",
    "runner/precision.py",
)
"""Files of the package that any judgement rests on: network, pictures, gate."""

FOR_PEOPLE = ("name", "version", "created", "card")
"""What of a description moves no answer."""
EARLIER = " (judged at an earlier start)"


def described(description: Mapping[str, object]) -> dict[str, object]:
    """What of a model's description moves its answers."""
    return {name: value for name, value in description.items() if name not in FOR_PEOPLE}


def key_of(question: Mapping[str, object]) -> str:
    """A name for all that an answer depends on: other questions have others."""
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()


def package_files(patterns: Iterable[str]) -> list[Path]:
    """Files of the package, always in the same order."""
    package = Path(__file__).parents[1]
    return [path for pattern in patterns for path in sorted(package.glob(pattern))]


def digest_of(files: Iterable[Path]) -> str:
    """Of their bytes."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def processor() -> str:
    """The processor with what it can do: a virtual machine may hide instructions that its name promises."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    told = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return " ".join(sorted(set(told))) or platform.processor()
