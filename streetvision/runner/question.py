"""What a verdict or a converted model depends on, beside code and libraries: the model's description, the processor."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FOR_PEOPLE = ("name", "version", "created", "card")
"""What of a description moves no answer."""
EARLIER = " (judged at an earlier start)"


def described(description: Mapping[str, object]) -> dict[str, object]:
    """What of a model's description moves its answers."""
    return {name: value for name, value in description.items() if name not in FOR_PEOPLE}


@cache
def processor() -> str:
    """The processor with what it can do: a virtual machine may hide instructions that its name promises."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    told = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return " ".join(sorted(set(told))) or platform.processor()
