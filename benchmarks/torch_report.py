"""What the torch benchmarks share: the machine they ran on, one table on stdout, one JSON file. Needs torch alone."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

Row = dict[str, str | int | float]


def machine(threads: bool = True) -> dict[str, str | int]:
    """Device, processor and versions: a figure means nothing without them."""
    facts: dict[str, str | int] = {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "cpus": os.cpu_count() or 0,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    return facts | ({"torch_threads": torch.get_num_threads()} if threads else {})


def report(title: str, rows: Sequence[Row], target: Path | None) -> None:
    """Print the rows as a table and write them with the machine to `target`, if given."""
    names = list(rows[0])
    table = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(names))]
    print(f"\n{title} on {machine()}")
    for line in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps({"benchmark": title, "machine": machine(), "rows": list(rows)}, indent=2) + "\n")


def _cell(value: str | float) -> str:
    return f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1000 else str(value)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
