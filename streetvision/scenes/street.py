"""The plan of one street: its kind, lanes, light and weather. Everything that a scene with and without works shares."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from streetvision.scenes.pen import Colour, mix, shade

KINDS = ("urban", "suburban", "rural", "highway")
LIGHTS = ("sunny", "overcast", "dusk", "night")
WEATHERS = ("clear", "rain", "fog")


@dataclass(frozen=True, slots=True)
class Light:
    """How the scene is lit; colours are 8-bit RGB, `ambient` multiplies surfaces."""

    name: str
    weather: str
    zenith: Colour
    skyline: Colour
    ambient: tuple[float, float, float]
    reflective: float
    """Brightness of retroreflective things, at least the ambient light's."""
    haze: float
    """Inverse of the viewing range in metres."""
    glow: float
    """Strength of lamps, in [0, 1]."""
    clouds: float
    sun_side: float
    """Direction of the light: -1 from the left to 1 from the right."""


@dataclass(frozen=True, slots=True)
class Marking:
    """A line along the road: x, width, dash and gap in metres (gap 0 is a solid line)."""

    x: float
    width: float
    dash: float
    gap: float
    colour: Colour


@dataclass(frozen=True, slots=True)
class Street:
    """Cross-section and surroundings; x in metres from the camera's own line."""

    kind: str
    left: float
    right: float
    shoulder: float
    asphalt: Colour
    shoulder_colour: Colour
    verge: Colour
    markings: tuple[Marking, ...]
    light: Light
    leaves: float
    wear: float


def draw_light(rng: Random) -> Light:
    """Time of day and weather."""
    name = rng.choices(LIGHTS, (0.4, 0.3, 0.16, 0.14))[0]
    weather = rng.choices(WEATHERS, (0.74, 0.16, 0.1))[0]
    zenith, skyline, level = _sky(rng, name, weather)
    warm = rng.uniform(-0.08, 0.12) + (0.16 if name == "dusk" else 0.0)
    ambient = (level * (1 + warm), level, level * (1 - warm))
    haze = {"clear": rng.uniform(0.0005, 0.004), "rain": rng.uniform(0.004, 0.015), "fog": rng.uniform(0.015, 0.05)}
    return Light(
        name=name,
        weather=weather,
        zenith=zenith,
        skyline=skyline,
        ambient=ambient,
        reflective=max(level, rng.uniform(0.55, 1.0)) if name == "night" else level,
        haze=haze[weather],
        glow={"sunny": 0.0, "overcast": 0.15, "dusk": 0.6, "night": 1.0}[name],
        clouds=rng.uniform(0.0, 0.5) if weather == "clear" else rng.uniform(0.2, 0.6),
        sun_side=rng.uniform(-1.0, 1.0),
    )


def _sky(rng: Random, name: str, weather: str) -> tuple[Colour, Colour, float]:
    if name == "night":
        dark = rng.uniform(0.22, 0.5)
        return shade(rng, (10, 14, 28), 8), shade(rng, rng.choice(((40, 36, 50), (70, 50, 40))), 14), dark
    if name == "dusk":
        skyline = shade(rng, rng.choice(((255, 150, 70), (250, 120, 90), (255, 190, 110), (220, 130, 140))), 20)
        return shade(rng, (70, 84, 130), 20), skyline, rng.uniform(0.5, 0.8)
    if name == "overcast" or weather != "clear":
        grey = rng.randint(150, 225)
        return (
            shade(rng, (grey - 20, grey - 16, grey - 8), 10),
            shade(rng, (grey, grey, grey), 10),
            rng.uniform(0.65, 0.9),
        )
    return shade(rng, (70, 125, 205), 25), shade(rng, (190, 214, 236), 18), rng.uniform(0.85, 1.08)


def draw_street(rng: Random) -> Street:
    """A street of any kind; the camera drives, walks or stands in it."""
    kind = rng.choice(KINDS)
    lanes = {"urban": (1, 3), "suburban": (1, 2), "rural": (1, 2), "highway": (2, 4)}[kind]
    count, lane = rng.randint(*lanes), rng.uniform(2.9, 3.8)
    oncoming = 0 if kind == "highway" and rng.random() < 0.6 else rng.randint(0, 2)
    own = rng.randrange(count)
    left = -(oncoming + own + 0.5) * lane + rng.uniform(-0.5, 0.5)
    right = left + (count + oncoming) * lane
    if rng.random() < 0.2:
        shift = right + rng.uniform(0.5, 2.5)
        left, right = left - shift, right - shift
    grey = rng.randint(58, 150)
    return Street(
        kind=kind,
        left=left,
        right=right,
        shoulder=rng.uniform(0.3, 1.2) if kind in {"urban", "suburban"} else rng.uniform(0.4, 3.0),
        asphalt=shade(rng, (grey, grey + rng.randint(-3, 4), grey + rng.randint(-6, 8)), 8),
        shoulder_colour=_shoulder(rng, kind, grey),
        verge=_verge(rng, kind),
        markings=_markings(rng, (left, right), lane, (oncoming, count)),
        light=draw_light(rng),
        leaves=rng.choice((0.0, 0.0, 0.0, rng.uniform(0.1, 1.0))),
        wear=rng.random(),
    )


def _shoulder(rng: Random, kind: str, grey: int) -> Colour:
    if kind in {"urban", "suburban"}:
        return shade(rng, (150, 148, 142), 25)
    return rng.choice((shade(rng, (grey, grey, grey), 12), shade(rng, (142, 124, 100)), shade(rng, (150, 96, 74))))


def _verge(rng: Random, kind: str) -> Colour:
    if kind == "urban":
        return shade(rng, rng.choice(((156, 152, 146), (140, 132, 124), (168, 120, 96))), 18)
    grass = rng.choice(((84, 112, 48), (104, 122, 58), (140, 132, 76), (70, 94, 50), (158, 128, 88), (226, 230, 234)))
    return shade(rng, grass, 18)


def _markings(rng: Random, edges: tuple[float, float], lane: float, lanes: tuple[int, int]) -> tuple[Marking, ...]:
    """Edge lines, the centre line after the oncoming lanes, dashes between the others."""
    (left, right), (oncoming, own) = edges, lanes
    white = shade(rng, (226, 226, 220), 20)
    centre = rng.choice((white, white, shade(rng, (236, 178, 40), 18), shade(rng, (226, 140, 40), 14)))
    fade = mix(white, (120, 120, 120), rng.choice((0.0, 0.2, rng.uniform(0.0, 0.7))))
    lines = [Marking(x, rng.uniform(0.1, 0.18), 1.0, 0.0, fade) for x in (left + 0.2, right - 0.2)]
    if rng.random() < 0.2:
        lines = []
    for index in range(1, own + oncoming):
        x = left + index * lane
        if index == oncoming:
            solid = rng.random() < 0.5
            lines.append(Marking(x - 0.12, 0.12, 3.0, 0.0 if solid else 5.0, centre))
            if rng.random() < 0.5:
                lines.append(Marking(x + 0.14, 0.12, 1.0, 0.0, centre))
        else:
            lines.append(Marking(x, 0.13, rng.uniform(2.0, 4.0), rng.uniform(3.0, 9.0), fade))
    return tuple(lines)
