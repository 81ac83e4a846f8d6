"""How fast a model is on a device: measured where it was, scaled by the device's peaks where it was not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

from streetvision.base.toml import parse_toml
from streetvision.cost.tables import check_names, row, section

CPU = "cpu"
WORK = {"small": 4.6, "base": 17.6, "large": 61.6}
"""Models, and the multiplications and additions of one picture of 224 pixels, in units of 1e9."""


@dataclass(frozen=True, slots=True)
class Device:
    """A card, or the processor that figures were taken on."""

    title: str
    peak_tflops: float = 0.0
    """Dense, of the number format that the miner serves in there."""
    bandwidth_tb_s: float = 0.0
    vcpus: float = 0.0
    """Of a processor: those that were measured together."""
    scaled_from: str = ""
    source: str = ""
    """Of the figures below."""
    one_ms: Mapping[str, float] = field(default_factory=dict)
    many_per_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """The miner around the model."""

    process_per_s: float
    """Requests a second that one process answers at most."""
    process_vcpus: float
    """Kept busy then."""
    process_gib: Mapping[str, float]
    """Memory of a miner with a model of its own, by the model."""
    axon_gib: float
    """Memory of a miner whose model is elsewhere."""
    link_mbit_s: float
    """Between the miner and a backend elsewhere."""
    picture_kb: float
    """Sent for each picture."""

    @property
    def link_per_s(self) -> float:
        """Pictures a second that the link to a backend elsewhere carries."""
        return self.link_mbit_s * 1e6 / (8e3 * self.picture_kb)


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one model on one device."""

    one_s: float
    """Seconds of a picture by itself."""
    per_s: float
    """Pictures a second when many come together."""
    measured: bool
    source: str


@dataclass(frozen=True, slots=True)
class Speeds:
    """All devices by their names."""

    device: Mapping[str, Device]
    host: Host

    def of(self, device: str, model: str) -> Speed:
        """Raises OperatorError for a device or model without figures."""
        check_names([device], self.device, "the GPU ")
        check_names([model], WORK, "the model ")
        here = self.device[device]
        if model in here.one_ms:
            return Speed(here.one_ms[model] / 1e3, here.many_per_s[model], True, here.source)
        return _scaled(here, self.device[here.scaled_from], model) if here.scaled_from else _sized(here, model)


def _scaled(here: Device, base: Device, model: str) -> Speed:
    """Time grows by the larger of two ratios, as the roofline model has it: products or memory is the limit."""
    times = max(base.peak_tflops / here.peak_tflops, base.bandwidth_tb_s / here.bandwidth_tb_s)
    source = f"scaled from {base.title}: {times:.3g} times as long, not measured"
    return Speed(base.one_ms[model] / 1e3 * times, base.many_per_s[model] / times, False, source)


def _sized(here: Device, model: str) -> Speed:
    """Time grows with the work of the model."""
    known = max(here.one_ms, key=lambda name: WORK[name])
    times = WORK[model] / WORK[known]
    source = f"scaled from a ViT of the size {known}: {times:.3g} times as long, not measured"
    return Speed(here.one_ms[known] / 1e3 * times, here.many_per_s[known] / times, False, source)


def read_speeds() -> Speeds:
    """The table that comes with the package."""
    text = files("streetvision.assets").joinpath("cost", "speeds.toml").read_text(encoding="utf-8")
    tables = parse_toml(text, "the speeds of the package")
    devices = section(tables["device"], "device")
    return Speeds(
        {name: row(Device, table, f"device.{name}") for name, table in devices.items()},
        row(Host, tables["host"], "host"),
    )
