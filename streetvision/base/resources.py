"""CPUs and memory that this process may use: the machine's, less what its control groups and its affinity withhold.

Both versions of Linux control groups count, nested ones too: the tightest limit from this process's own group up to the
outermost that can be seen. `root` is where /proc and /sys are read. Reading never fails; unknown means unlimited.
Sources: the kernel's admin-guide/cgroup-v2.rst, admin-guide/cgroup-v1 and scheduler/sched-bwc.rst, proc(5), cgroups(7).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")
UNLIMITED = 1 << 60
"""Bytes: version 1 writes "none" as the largest number of whole pages."""
THREAD_POOLS = (
    "OMP_NUM_THREADS",  # torch, oneDNN, OpenBLAS, MKL
    "TORCHINDUCTOR_COMPILE_THREADS",
    "FIFTYONE_MAX_PROCESS_POOL_WORKERS",
    "FIFTYONE_MAX_THREAD_POOL_WORKERS",
)
"""Variables by which libraries are told how many threads or processes to start."""
_CPUSETS = ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus")
_MEMORY_LIMITS = ("memory.max", "memory.high", "memory.limit_in_bytes")
_MEMORY_USED = ("memory.current", "memory.usage_in_bytes")
_CACHE = ("total_inactive_file", "inactive_file")
"""In memory.stat, the first that is there: in version 1 the second leaves out the groups below."""

CountCpus = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, None where the system does not say."""

    available: int | None
    total: int | None


@dataclass(frozen=True, slots=True)
class _Mount:
    """One hierarchy of control groups as it is mounted."""

    controllers: frozenset[str]
    """Empty for version 2, which has all of them."""
    top: str
    """The group that the mount point shows, as /proc/self/cgroup names it."""
    folder: Path


def cpus_of_affinity() -> int:
    """CPUs that the process may be scheduled on; of the machine where the system knows no affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(os.getpid()))
    return os.cpu_count() or 1


def usable_cpus(root: Path = ROOT, *, affinity: CountCpus = cpus_of_affinity) -> float:
    """How many CPUs' time the process may use, above 0; a quota makes it a fraction."""
    groups = (*control_groups(root, "cpu"), *control_groups(root, "cpuset"))
    limits = [limit for group in groups for limit in (_quota(group), _cpuset(group)) if limit]
    return min((float(affinity()), *limits))


def usable_threads(root: Path = ROOT, *, affinity: CountCpus = cpus_of_affinity) -> int:
    """How many threads may compute at once: whole CPUs, at least one.

    Rounded down: one more than a quota pays for spends it early in each period, and then all of them stand still.
    """
    return max(1, int(usable_cpus(root, affinity=affinity)))


def limit_thread_pools(
    environ: MutableMapping[str, str] = os.environ, root: Path = ROOT, *, affinity: CountCpus = cpus_of_affinity
) -> None:
    """Before numpy and torch are imported: tell libraries of a quota, which they do not look for themselves.

    They do see an affinity, and choose well without a quota; what the operator has set stays.
    """
    threads = usable_threads(root, affinity=affinity)
    if threads < affinity():
        for name in THREAD_POOLS:
            environ.setdefault(name, str(threads))


def usable_memory(root: Path = ROOT) -> Memory:
    """The tightest of the machine and the groups around the process; page cache counts as available."""
    fields = dict(line.split(":", 1) for line in _text(root / "proc/meminfo").splitlines() if ":" in line)
    available, total = (_kib(fields.get(name, "")) for name in ("MemAvailable", "MemTotal"))
    for group in control_groups(root, "memory"):
        limit = _least(_number(_text(group / name)) for name in _MEMORY_LIMITS)
        if limit is None or limit >= (UNLIMITED if total is None else total):
            continue
        total = limit
        used = _least(_number(_text(group / name)) for name in _MEMORY_USED)
        available = _least((available, limit if used is None else max(0, limit - used + _cache(group))))
    return Memory(available, total)


def control_groups(root: Path, controller: str) -> tuple[Path, ...]:
    """Folders of the process's groups for a controller, of either version, each followed by those around it."""
    own, mounts = _own_groups(root), tuple(_mounts(root))
    folders: list[Path] = []
    for name in (controller, ""):
        path = own.get(name)
        shown = [mount for mount in mounts if (name in mount.controllers if name else not mount.controllers)]
        if path is not None and shown:
            folders += _upward(path, shown)
    return tuple(dict.fromkeys(folders))


def _upward(path: str, mounts: list[_Mount]) -> Iterator[Path]:
    """From the group up to the mount's top; the top alone where the mount does not show the group by that name.

    So it is in a container without a namespace of its own for groups: the mount shows the container's group as its top.
    """
    for mount in mounts:
        inside = _below(path, mount.top)
        if inside is not None:
            below = mount.folder.joinpath(*inside)
            yield below
            yield from (parent for parent in below.parents if parent.is_relative_to(mount.folder))
            return
    yield mounts[0].folder


def _below(path: str, top: str) -> tuple[str, ...] | None:
    """The parts of `path` below `top`; None when it is not below, or lies outside of the namespace."""
    group, above = PurePosixPath(path), PurePosixPath(top)
    if ".." in (*group.parts, *above.parts) or not group.is_relative_to(above):
        return None
    return group.relative_to(above).parts


def _own_groups(root: Path) -> Mapping[str, str]:
    """The process's group by controller; version 2's under the empty name."""
    own: dict[str, str] = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, colon, path = rest.partition(":")
        if colon:
            own.update(dict.fromkeys(names.split(","), path))
    return own


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) >= 5 and len(kind) >= 3 and kind[0] in ("cgroup", "cgroup2"):
            controllers = frozenset(kind[2].split(",")) if kind[0] == "cgroup" else frozenset[str]()
            yield _Mount(controllers, _plain(fields[3]), root / _plain(fields[4]).lstrip("/"))


def _plain(name: str) -> str:
    """Without mountinfo's octal escapes for blanks and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), name)


def _quota(group: Path) -> float | None:
    """CPUs that cpu.max (version 2) or cpu.cfs_quota_us (version 1) pays for; None without a limit."""
    quota, period = (_text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if told := _text(group / "cpu.max").split():
        quota, period = (*told, "100000")[:2]
    paid, every = _number(quota), _number(period)
    return paid / every if paid and every else None


def _cpuset(group: Path) -> float | None:
    """How many CPUs a list such as `0-3,8` names; None where there is none."""
    text = next(filter(None, (_text(group / name).strip() for name in _CPUSETS)), "")
    spans = [re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part) for part in text.split(",")]
    return float(sum(max(0, int(span[2] or span[1]) - int(span[1]) + 1) for span in spans if span)) or None


def _cache(group: Path) -> int:
    lines = (line.split() for line in _text(group / "memory.stat").splitlines())
    stats = {line[0]: number for line in lines if len(line) == 2 and (number := _number(line[1])) is not None}
    return next((stats[name] for name in _CACHE if name in stats), 0)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError):  # no text, or a name that cannot be one
        return ""


def _number(text: str) -> int | None:
    """Of at most 20 digits: the kernel's are 64 bits wide."""
    digits = text.strip()
    return int(digits) if digits.isdecimal() and len(digits) <= 20 else None


def _kib(text: str) -> int | None:
    number = _number(text.strip().removesuffix("kB"))
    return None if number is None else 1024 * number


def _least(numbers: Iterator[int | None] | tuple[int | None, ...]) -> int | None:
    return min((number for number in numbers if number is not None), default=None)
