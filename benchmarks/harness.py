"""What the benchmarks share: the machine, percentiles, one table on stdout, one JSON file in results/."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from streetvision.base.resources import usable_cpus, usable_memory

Cell = str | int | float | None
Row = dict[str, Cell]
RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, str | int | float]:
    """Processor, memory, versions and how busy it was: a figure means nothing without them."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    facts: dict[str, str | int | float] = {
        "cpu": names[0] if names else platform.processor(),
        "cpus": usable_cpus(),
        "memory_gib": round((usable_memory().total or 0) / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_at_start": round(os.getloadavg()[0], 2),
    }
    return facts | _torch()


def _torch() -> dict[str, str | int | float]:
    """Torch and the device, for the benchmarks that use it; the others need not wait for its import."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    facts: dict[str, str | int | float] = {"torch": torch.__version__, "torch_threads": torch.get_num_threads()}
    return facts | ({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {})


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the sorted values lie; 0.5 is the median. Raises on no values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values were measured")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median_ms(work: Callable[[], object], runs: int = 30) -> float:
    """Milliseconds of one call, the median of several."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times) * 1e3


def loop_cpu(process: int) -> float:
    """Seconds of processor time that the process's first thread, which runs the event loop, has used (Linux)."""
    return int(Path(f"/proc/{process}/task/{process}/schedstat").read_text().split()[0]) / 1e9


def resident_mib(process: int) -> float:
    """Resident memory of a process (Linux)."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def report(
    name: str, title: str, rows: Sequence[Row], where: dict[str, str | int | float], folder: Path = RESULTS
) -> None:
    """Print `rows` as a table and write them, with the machine `where` they were measured, to `folder`/`name`.json."""
    columns = list(rows[0])
    table = [columns, *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    print(f"\n{title}\n{where}")
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    folder.mkdir(parents=True, exist_ok=True)
    result = {"benchmark": title, "machine": where, "rows": list(rows)}
    (folder / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )
