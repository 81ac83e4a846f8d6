"""Which unit of systemd a process belongs to: whoever stops or starts it must ask there."""

from __future__ import annotations

import re
from pathlib import Path

_UNIT = re.compile(r"/(streetvision[\w@.:-]*\.service)(?:/|$)", re.ASCII | re.MULTILINE)


def unit_of(pid: int, proc: Path = Path("/proc")) -> str | None:
    """`streetvision@hot1.service`; None for a process that none of our units keeps."""
    try:
        found = _UNIT.search((proc / str(pid) / "cgroup").read_text())
    except OSError:
        return None
    return None if found is None else found[1]
