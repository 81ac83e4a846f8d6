"""Who stands where: traffic and furniture of any street, look-alikes where works would be, and the works themselves."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from streetvision.scenes import machine_parts, roadwork_parts, street_parts, vehicle_parts
from streetvision.scenes.camera import Camera
from streetvision.scenes.ground import Patch, Surface
from streetvision.scenes.parts import Part
from streetvision.scenes.pen import Colour, shade
from streetvision.scenes.placing import PlacedPart
from streetvision.scenes.street import Marking, Street

WORKS: dict[str, Part] = {part.name: part for part in (*roadwork_parts.PARTS, *machine_parts.PARTS)}
CHANNELISERS = ("cone", "cone", "cone", "barrel", "panel", "tube", "barrier", "barricade", "mesh")
MACHINES = ("excavator", "roller", "loader", "works_truck", "arrow_trailer")
SIGNS = ("diamond_sign", "triangle_sign", "board_sign")


def item(part: Part, x: float, z: float, rng: Random) -> PlacedPart:
    """A part of random size, side and tilt at a place."""
    tilt = rng.uniform(-part.tilt, part.tilt) if rng.random() < 0.5 else 0.0
    signed = part.name.endswith("sign") or part.name == "board_sign"
    mirror = rng.random() < 0.5 and not signed
    return PlacedPart(part, x, z, rng.uniform(part.low, part.high), mirror, tilt)


def _far(rng: Random, low: float, high: float) -> float:
    """A distance, evenly spread over the picture rather than over metres."""
    return low * float((max(high, low * 1.05) / low) ** rng.random())


def furniture(camera: Camera, street: Street, rng: Random) -> list[PlacedPart]:
    """Traffic, people, signs, trees: the same whether or not there are works."""
    near = max(camera.nearest, 2.0)
    items = [*_trees(near, street, rng), *_traffic(near, street, rng), *_roadside(near, street, rng)]
    if rng.random() < 0.55:
        items.extend(look_alikes(camera, street, rng))
    return items


def _trees(near: float, street: Street, rng: Random) -> list[PlacedPart]:
    most = {"urban": 5, "suburban": 9, "rural": 12, "highway": 9}[street.kind]
    items = []
    for _ in range(rng.randint(0, most)):
        side = rng.choice((-1.0, 1.0))
        edge = (street.left if side < 0 else street.right) + side * (street.shoulder + rng.uniform(0.8, 14.0))
        part = rng.choice((street_parts.TREES[0], *street_parts.TREES, street_parts.PARTS[-1]))
        items.append(item(part, edge, _far(rng, near * 1.4, 90.0), rng))
    return items


def _traffic(near: float, street: Street, rng: Random) -> list[PlacedPart]:
    items = []
    ends = [part for part in vehicle_parts.PARTS if "side" not in part.name]
    sides = [part for part in vehicle_parts.PARTS if "side" in part.name]
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 5))):
        part = rng.choice((vehicle_parts.PARTS[0], *ends))
        items.append(item(part, rng.uniform(street.left + 0.9, street.right - 0.9), _far(rng, near * 1.5, 80.0), rng))
    if street.kind in {"urban", "suburban"} and rng.random() < 0.5:
        x = rng.choice((street.left + 0.9, street.right - 0.9))
        for index in range(rng.randint(1, 5)):
            items.append(item(rng.choice(ends[:3]), x, near * 1.6 + index * rng.uniform(5.0, 7.0), rng))
    if rng.random() < 0.15:
        items.append(item(rng.choice(sides), rng.uniform(-6.0, 6.0), _far(rng, near * 2.0, 50.0), rng))
    return items


def _roadside(near: float, street: Street, rng: Random) -> list[PlacedPart]:
    lively = street.kind in {"urban", "suburban"}
    pool: Sequence[Part] = (*street_parts.SIGNS, *street_parts.SIGNS, *street_parts.TALL)
    if lively:
        pool = (*pool, *street_parts.PARTS)
    items = []
    for _ in range(rng.randint(0, 7 if lively else 4)):
        side = rng.choice((-1.0, 1.0))
        edge = street.left if side < 0 else street.right
        x = edge + side * rng.uniform(0.2, street.shoulder + 3.0)
        items.append(item(rng.choice(pool), x, _far(rng, near * 1.1, 60.0), rng))
    return items


def look_alikes(camera: Camera, street: Street, rng: Random) -> list[PlacedPart]:
    """Harmless things where works would stand: rows of bollards, orange cars, jackets and bins, arms, stalls."""
    near = max(camera.nearest * 1.05, 2.0)
    kind = rng.randrange(5)
    column, z = rng.uniform(0.08, 0.92) * camera.width, _far(rng, near, near * 4.0)
    x = camera.lateral(column, z)
    if kind == 0:
        return row(street_parts.PARTS[2], x, z, rng)
    if kind == 1:
        return [
            item(rng.choice(street_parts.PARTS[:7]), x + rng.uniform(-2, 2), z, rng) for _ in range(rng.randint(1, 4))
        ]
    if kind == 2:
        return [item(rng.choice(vehicle_parts.PARTS), x, z * 1.5, rng)]
    if kind == 3:
        return [item(rng.choice(street_parts.SIGNS), x, z, rng) for _ in range(rng.randint(1, 2))]
    part = street_parts.PARTS[0]
    return [item(part, x + rng.uniform(-2.0, 2.0), z * rng.uniform(1.0, 1.4), rng) for _ in range(rng.randint(1, 4))]


def row(part: Part, x: float, z: float, rng: Random) -> list[PlacedPart]:
    """The same thing again and again along or across the road."""
    gap, drift = rng.uniform(1.0, 5.0), rng.uniform(-0.5, 0.5)
    if rng.random() < 0.3:
        gap, drift = rng.uniform(0.0, 0.3), rng.choice((-1, 1)) * rng.uniform(0.8, 2.0)
    step = part.low * part.aspect
    drift = drift if abs(drift) > 0.6 * step or gap > 1.0 else step
    height = rng.uniform(part.low, part.high)
    count = rng.randint(3, 9)
    return [
        PlacedPart(part, x + drift * n, z + gap * n, height, tilt=rng.uniform(-part.tilt, part.tilt))
        for n in range(count)
    ]


def works(camera: Camera, street: Street, rng: Random) -> list[PlacedPart]:
    """One work site: a closed lane, a dig, signs, paving or a works vehicle."""
    near = max(camera.nearest * 1.02, 1.6)
    z = _far(rng, near, near * rng.choice((2.0, 4.0, 9.0)))
    x = camera.lateral(rng.uniform(0.06, 0.94) * camera.width, z)
    site = rng.choice((_closure, _closure, _dig, _signs, _paving, _vehicle, _scattered))
    return site(x, z, street, rng)


def _channeliser(rng: Random) -> Part:
    return WORKS[rng.choice(CHANNELISERS)]


def _closure(x: float, z: float, street: Street, rng: Random) -> list[PlacedPart]:
    items = row(_channeliser(rng), x, z, rng)
    if rng.random() < 0.5:
        items.append(item(WORKS[rng.choice(SIGNS)], x + rng.uniform(-2.0, 2.0), z + rng.uniform(0.0, 6.0), rng))
    if rng.random() < 0.35:
        items.append(item(WORKS["worker"], x + rng.uniform(-2.5, 2.5), z + rng.uniform(1.0, 10.0), rng))
    if rng.random() < 0.25:
        items.append(item(WORKS[rng.choice(MACHINES)], x + rng.uniform(-3.0, 3.0), z + rng.uniform(6.0, 20.0), rng))
    return items


def _dig(x: float, z: float, street: Street, rng: Random) -> list[PlacedPart]:
    items = [item(machine_parts.DIRT, x + rng.uniform(-2.0, 2.0), z + rng.uniform(1.0, 4.0), rng)]
    items.extend(row(_channeliser(rng), x - 1.0, z, rng))
    for _ in range(rng.randint(0, 3)):
        items.append(item(WORKS["worker"], x + rng.uniform(-3.0, 3.0), z + rng.uniform(0.5, 6.0), rng))
    if rng.random() < 0.55:
        items.append(item(WORKS[rng.choice(MACHINES[:3])], x + rng.uniform(-2.0, 3.0), z + rng.uniform(3.0, 9.0), rng))
    return items


def _signs(x: float, z: float, street: Street, rng: Random) -> list[PlacedPart]:
    items = [item(WORKS[rng.choice(SIGNS)], x, z * rng.uniform(1.0, 1.5), rng)]
    for _ in range(rng.randint(0, 3)):
        items.append(item(_channeliser(rng), x + rng.uniform(-3.0, 3.0), z * rng.uniform(1.0, 2.0), rng))
    return items


def _paving(x: float, z: float, street: Street, rng: Random) -> list[PlacedPart]:
    items = [item(WORKS[rng.choice(("roller", "loader", "works_truck"))], x, z + rng.uniform(3.0, 12.0), rng)]
    for _ in range(rng.randint(1, 4)):
        items.append(item(WORKS["worker"], x + rng.uniform(-3.0, 3.0), z + rng.uniform(0.5, 8.0), rng))
    return items + (row(WORKS["cone"], x, z, rng) if rng.random() < 0.7 else [])


def _vehicle(x: float, z: float, street: Street, rng: Random) -> list[PlacedPart]:
    items = [item(WORKS[rng.choice(("works_truck", "arrow_trailer", *MACHINES))], x, z + rng.uniform(1.0, 8.0), rng)]
    return items + (row(_channeliser(rng), x, z, rng) if rng.random() < 0.5 else [])


def _scattered(x: float, z: float, street: Street, rng: Random) -> list[PlacedPart]:
    names = (*CHANNELISERS, "worker", *SIGNS)
    count = rng.randint(1, 5)
    return [
        item(WORKS[rng.choice(names)], x + rng.uniform(-3.0, 3.0), z * rng.uniform(1.0, 1.8), rng) for _ in range(count)
    ]


def old_patches(camera: Camera, street: Street, rng: Random) -> tuple[Patch, ...]:
    """Repairs and manholes of ordinary roads; they say nothing about works."""
    near = max(camera.nearest, 1.5)
    patches = []
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        x, z = rng.uniform(street.left, street.right), _far(rng, near, 40.0)
        grey = rng.randint(34, 150)
        patches.append(Patch(x, x + rng.uniform(0.4, 2.5), z, z + rng.uniform(0.5, 8.0), (grey, grey, grey), 4.0))
    return tuple(patches)


def dug_up(items: Sequence[PlacedPart], rng: Random) -> Surface:
    """Ground that goes with works: a trench or fresh asphalt under them, temporary lines beside them."""
    patches: list[Patch] = []
    lines: list[Marking] = []
    anchor = items[0]
    if rng.random() < 0.45:
        tone: Colour = rng.choice(((112, 84, 58), (150, 124, 92), (44, 44, 46), (96, 76, 60)))
        x, z = anchor.x + rng.uniform(-2.0, 0.5), anchor.z * rng.uniform(0.9, 1.2)
        x1, z1 = x + rng.uniform(0.8, 4.0), z + rng.uniform(1.0, 12.0)
        patches.append(Patch(x, x1, z, z1, shade(rng, tone), rng.uniform(6.0, 22.0), rng.uniform(0.2, 0.6)))
    if rng.random() < 0.2:
        tone = shade(rng, rng.choice(((246, 170, 30), (240, 110, 40))), 12)
        lines = [Marking(anchor.x + shift, 0.14, 1.5, rng.choice((0.0, 1.5)), tone) for shift in (-0.6, 2.4)]
    return Surface(tuple(patches), tuple(lines))
