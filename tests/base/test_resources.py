"""CPUs and memory that a process may use: control groups of both versions, nested, seen from inside and outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from streetvision.base.resources import (
    Memory,
    cpus_of_affinity,
    limit_thread_pools,
    usable_cpus,
    usable_memory,
    usable_threads,
)

V2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "".join(
    f"3{n} 29 0:3{n} {{top}} /sys/fs/cgroup/{name} rw,nosuid shared:{n} - cgroup cgroup rw,{name}\n"
    for n, name in enumerate(("cpu,cpuacct", "cpuset", "memory"))
)
MACHINE = "MemTotal: 1000 kB\nMemAvailable: 600 kB\n"
KIB = 1024
UNLIMITED_V1 = str(2**63 - 4096)


def machine(root: Path, own: str, mounts: str, **groups: str) -> Path:
    """A root whose process is in the groups `own`; `groups` are files below /sys/fs/cgroup."""
    files = {"proc/meminfo": MACHINE, "proc/self/cgroup": own, "proc/self/mountinfo": mounts}
    for name, text in (files | {f"sys/fs/cgroup/{name}": text for name, text in groups.items()}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def cpus(root: Path, cores: int = 8) -> tuple[float, int]:
    return usable_cpus(root, affinity=lambda: cores), usable_threads(root, affinity=lambda: cores)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({}, (8.0, 8)),
        ({"cpu.max": "max 100000\n"}, (8.0, 8)),
        ({"cpu.max": "50000 100000\n"}, (0.5, 1)),
        ({"cpu.max": "150000 100000\n"}, (1.5, 1)),
        ({"cpu.max": "25000 10000\n"}, (2.5, 2)),
        ({"cpu.max": "200000\n"}, (2.0, 2)),
        ({"cpu.max": "1600000 100000\n"}, (8.0, 8)),  # more than the machine has
        ({"cpu.max": ""}, (8.0, 8)),
        ({"cpu.max": "lots 0\n"}, (8.0, 8)),
        ({"cpu.max": "0 100000\n"}, (8.0, 8)),
        ({"cpuset.cpus.effective": "0-1,5\n"}, (3.0, 3)),
        ({"cpuset.cpus.effective": "\n", "cpuset.cpus": "3"}, (1.0, 1)),
        ({"cpuset.cpus": "\n"}, (8.0, 8)),
        ({"cpuset.cpus.effective": "0-3", "cpu.max": "300000 100000"}, (3.0, 3)),
    ],
)
def test_version_2_as_a_container_with_its_own_namespace_sees_it(
    tmp_path: Path, groups: dict[str, str], expected: tuple[float, int]
) -> None:
    assert cpus(machine(tmp_path, "0::/\n", V2, **groups)) == expected


@pytest.mark.parametrize(
    "place", ["", "system.slice/", "system.slice/docker-1.scope/", "system.slice/docker-1.scope/a b/"]
)
def test_version_2_counts_the_tightest_of_all_groups_around(tmp_path: Path, place: str) -> None:
    loose = {"system.slice/cpu.max": "400000 100000", "system.slice/memory.max": str(900 * KIB)}
    tight = {f"{place}cpu.max": "200000 100000", f"{place}memory.max": str(500 * KIB)}
    used = {f"{place}memory.current": str(200 * KIB), f"{place}memory.stat": f"anon 7\ninactive_file {50 * KIB}\n"}
    other = {"user.slice/cpu.max": "10000 100000", "user.slice/memory.max": "4096", "user.slice/memory.current": "0"}
    root = machine(tmp_path, "0::/system.slice/docker-1.scope/a b\n", V2, **(loose | tight | used | other))
    assert cpus(root) == (2.0, 2)
    assert usable_memory(root) == Memory(350 * KIB, 500 * KIB)


@pytest.mark.parametrize("top", ["/", "/docker/1", "/../..", "/elsewhere"])
def test_version_1_with_a_namespace_of_its_own_or_without(tmp_path: Path, top: str) -> None:
    """Docker without a namespace mounts the container's group as the top and still names the host's path."""
    own = "4:memory:/docker/1\n3:cpuset:/docker/1\n2:cpu,cpuacct:/docker/1\n1:name=systemd:/docker/1\n"
    place = "docker/1/" if top == "/" else ""
    groups = {
        f"cpu,cpuacct/{place}cpu.cfs_quota_us": "75000",
        f"cpu,cpuacct/{place}cpu.cfs_period_us": "50000",
        f"cpuset/{place}cpuset.cpus": "0-5",
        f"memory/{place}memory.limit_in_bytes": str(400 * KIB),
        f"memory/{place}memory.usage_in_bytes": str(300 * KIB),
        f"memory/{place}memory.stat": f"inactive_file 1\ntotal_inactive_file {50 * KIB}\n",
    }
    root = machine(tmp_path, own, V1.format(top=top), **groups)
    assert cpus(root) == (1.5, 1)
    assert cpus(root, cores=1) == (1.0, 1)
    assert usable_memory(root) == Memory(150 * KIB, 400 * KIB)


def test_version_1_without_limits(tmp_path: Path) -> None:
    groups = {
        "cpu,cpuacct/cpu.cfs_quota_us": "-1",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
        "cpuset/cpuset.cpus": "",
        "memory/memory.limit_in_bytes": UNLIMITED_V1,
        "memory/memory.usage_in_bytes": "1",
    }
    root = machine(tmp_path, "4:memory:/\n3:cpuset:/\n2:cpu,cpuacct:/\n", V1.format(top="/"), **groups)
    assert cpus(root) == (8.0, 8)
    assert usable_memory(root) == Memory(600 * KIB, 1000 * KIB)
    (root / "proc/meminfo").unlink()
    assert usable_memory(root) == Memory(None, None)


def test_both_versions_mounted_beside_each_other(tmp_path: Path) -> None:
    mounts = V1.format(top="/") + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    groups = {
        "unified/one/cpu.max": "300000 100000",
        "unified/one/memory.high": str(700 * KIB),
        "memory/memory.limit_in_bytes": str(800 * KIB),
    }
    root = machine(tmp_path, "4:memory:/\n2:cpu,cpuacct:/\n0::/one\n", mounts, **groups)
    assert cpus(root) == (3.0, 3)
    assert usable_memory(root) == Memory(600 * KIB, 700 * KIB)


def test_another_containers_mount_is_not_ours(tmp_path: Path) -> None:
    """A host shows the mounts that it made for its containers too."""
    foreign = "99 23 0:26 /docker/2 /sys/fs/cgroup/of\\0402 rw - cgroup2 cgroup2 rw\n"
    groups = {"of 2/cpu.max": "10000 100000", "mine/cpu.max": "400000 100000"}
    assert cpus(machine(tmp_path, "0::/mine\n", foreign + V2, **groups)) == (4.0, 4)
    assert cpus(machine(tmp_path, "0::/docker/2\n", foreign, **groups)) == (0.1, 1)


@pytest.mark.parametrize("text", ["", "\n", "nonsense", "0:", "1 2 3 - cgroup2\n", "1 2 3 4 - cgroup2 a b\n"])
def test_what_cannot_be_understood_limits_nothing(tmp_path: Path, text: str) -> None:
    assert cpus(machine(tmp_path, text, text)) == (8.0, 8)
    assert usable_memory(tmp_path) == Memory(600 * KIB, 1000 * KIB)
    assert cpus(tmp_path / "empty") == (8.0, 8)


def test_this_machine() -> None:
    assert 0 < usable_cpus() <= cpus_of_affinity()
    assert 0 < (usable_memory().available or 0) <= (usable_memory().total or 0)


def test_libraries_hear_of_a_quota_and_of_nothing_else(tmp_path: Path) -> None:
    environ: dict[str, str] = {"OMP_NUM_THREADS": "3"}
    limit_thread_pools(environ, machine(tmp_path, "0::/\n", V2), affinity=lambda: 8)
    assert environ == {"OMP_NUM_THREADS": "3"}  # they choose well by themselves, and see an affinity
    limited = machine(tmp_path, "0::/\n", V2, **{"cpu.max": "150000 100000"})
    limit_thread_pools(environ, limited, affinity=lambda: 8)
    assert environ["OMP_NUM_THREADS"] == "3"  # the operator's word
    assert environ["TORCHINDUCTOR_COMPILE_THREADS"] == environ["FIFTYONE_MAX_PROCESS_POOL_WORKERS"] == "1"


GARBAGE = [
    "",
    "\n",
    "max 100000",
    "-1",
    "8-3",
    "3-",
    "-",
    "0x10 100",
    "1e5 100000",
    "9" * 5000,
    "1 " + "9" * 5000,
    "\0",
]
FILES = {
    V2: ("cpu.max", "cpuset.cpus.effective", "memory.max", "memory.high", "memory.current"),
    V1.format(top="/"): (
        "cpu,cpuacct/cpu.cfs_quota_us",
        "cpu,cpuacct/cpu.cfs_period_us",
        "cpuset/cpuset.cpus",
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
    ),
}


@pytest.mark.parametrize("text", GARBAGE, ids=lambda text: repr(text)[:12])
def test_garbage_withholds_nothing(tmp_path: Path, text: str) -> None:
    for number, (mounts, names) in enumerate(FILES.items()):
        own = "0::/\n" if mounts is V2 else "4:cpu,cpuacct:/\n3:cpuset:/\n2:memory:/\n"
        for name in names:
            root = machine(tmp_path / f"{number}-{name.replace('/', '-')}", own, mounts, **{name: text})
            assert cpus(root) == (8.0, 8)
            assert usable_memory(root) == Memory(600 * KIB, 1000 * KIB)
    for name in ("meminfo", "self/cgroup", "self/mountinfo"):
        root = machine(tmp_path / name.replace("/", "-"), "0::/\n", V2)
        (root / "proc" / name).write_text(
            f"MemTotal: {text} kB\n30 23 0:26 / /\\000{text} rw - cgroup2 cgroup2 rw\n0::/{text}"
        )
        assert cpus(root) == (8.0, 8)
        usable_memory(root)


def test_a_limit_bounds_what_is_available_where_its_use_is_not_told(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/\n", V2, **{"memory.max": str(500 * KIB)})
    assert usable_memory(root) == Memory(500 * KIB, 500 * KIB)


@pytest.mark.parametrize("quota", ["500 100000", "1 1000000"])
def test_a_quota_below_a_millisecond_is_one_thread(tmp_path: Path, quota: str) -> None:
    seen, threads = cpus(machine(tmp_path, "0::/\n", V2, **{"cpu.max": quota}))
    assert (0.0 < seen < 0.01, threads) == (True, 1)
