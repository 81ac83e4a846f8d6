"""The order of runners: which of them serves a model here, and why. A further runner is a file of its own and a row.

Pure but for `installed`, and without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from streetvision.base.defaults import RUNNERS
from streetvision.errors import ConfigError

EXTRAS = ("max", "openvino")
"""The extras that bring a runner; each is named as its package. MAX is an experiment: it serves where it is named."""
INSTALL = "pip install 'streetvision[openvino]'"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is to be served."""

    device: str
    """`cpu` or `cuda`."""
    architecture: str
    """As the model's description names it."""
    extras: frozenset[str]
    """Those of EXTRAS that are installed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to serve, if it fits."""

    runner: str
    why: str
    """A clause for the operator, with `{architecture}` where it matters."""
    fits: Callable[[Place], bool]


@dataclass(frozen=True, slots=True)
class Ordered:
    """The runner that comes first, and why."""

    runner: str
    why: str


ORDER = (
    Row("torch", "on a GPU its kernels are the quickest", lambda place: place.device == "cuda"),
    Row(
        "openvino",
        "on a CPU with its extra installed",
        lambda place: "openvino" in place.extras,
    ),
    Row("torch", f"OpenVINO, which may be quicker on a CPU, is not installed: {INSTALL}", lambda _: True),
)
"""The first that fits serves. Every architecture that torch runs can be traced for OpenVINO, so none is named yet."""


def installed() -> frozenset[str]:
    """The extras that are there; nothing of them is imported."""
    return frozenset(name for name in EXTRAS if find_spec(name) is not None)


def first_runner(wish: str, place: Place) -> Ordered:
    """The runner for a wish of RUNNERS; raises ConfigError where the one that is named cannot serve there."""
    if wish not in RUNNERS:
        raise ConfigError(f"The runner {wish!r} does not exist; use {', '.join(RUNNERS)}.")
    if wish == "auto":
        row = next(row for row in ORDER if row.fits(place))
        return Ordered(row.runner, row.why.format(architecture=place.architecture))
    if wish == "openvino" and place.device != "cpu":
        raise ConfigError("OpenVINO runs models on the CPU alone: use --runner auto or --device cpu.")
    if wish in EXTRAS and wish not in place.extras:
        raise ConfigError(f"--runner {wish} needs the extra `{wish}`: pip install 'streetvision[{wish}]'")
    return Ordered(wish, "it was asked for")
