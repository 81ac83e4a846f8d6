"""Draw docs/images/synthetic.jpg: a drawn street and what the local back end makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from streetvision.scenes.photographic import encode_jpeg
from streetvision.scenes.scenes import Scene, render_scene
from streetvision.synthesis.back_end import Order
from streetvision.synthesis.back_ends.local import Local
from streetvision.synthesis.kinds import KINDS
from streetvision.synthesis.pixels import read_pixels

TARGET = Path(__file__).parents[1] / "docs" / "images" / "synthetic.jpg"
SIZE, SHOWN, LINE = (768, 480), (384, 240), 22
COLUMNS = 3
WITH_WORKS, EMPTY, FEW = (700_017, True), (700_017, False), (700_248, True)
"""Seed and works of a street, of the same without, and of one whose works can be taken out."""
CELLS = (
    (WITH_WORKS, "", "a street with works"),
    (WITH_WORKS, "night", "night"),
    (WITH_WORKS, "rain", "rain"),
    (WITH_WORKS, "fog", "fog"),
    (WITH_WORKS, "snow", "snow"),
    (WITH_WORKS, "dirt", "dirt"),
    (EMPTY, "", "a street without works"),
    (EMPTY, "works", "works: it shows roadwork now"),
    (EMPTY, "look_alikes", "look_alikes: still none"),
    (WITH_WORKS, "blur", "blur"),
    (FEW, "", "few works, and it is known where"),
    (FEW, "without", "without: none now"),
)


def main() -> None:
    """Write the picture."""
    scenes = {which: render_scene(which[0], roadwork=which[1], size=SIZE) for which, *_ in CELLS}
    rows = -(-len(CELLS) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SHOWN[0], rows * (SHOWN[1] + LINE)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for number, (which, kind, title) in enumerate(CELLS):
        left, top = number % COLUMNS * SHOWN[0], number // COLUMNS * (SHOWN[1] + LINE)
        sheet.paste(shown(scenes[which], kind).resize(SHOWN, Image.Resampling.LANCZOS), (left, top))
        draw.text((left + 4, top + SHOWN[1] + 2), title, "black", font)
    TARGET.write_bytes(encode_jpeg(sheet, 84))


def shown(scene: Scene, kind: str) -> Image.Image:
    """The scene, or a variation of it."""
    data = encode_jpeg(Image.fromarray(scene.image), 95)
    if kind:
        data = Local().make(Order(KINDS[kind], data, 5, tuple(one.box for one in scene.objects)))
    return Image.fromarray((read_pixels(data) * 255.0).astype(np.uint8))


if __name__ == "__main__":
    main()
