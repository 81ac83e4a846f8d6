"""What a camera does to a street: lens, weather on the glass, exposure, grain, and overlays of dashcams and phones."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from math import ceil
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from streetvision.scenes import noise
from streetvision.scenes.pen import shade
from streetvision.scenes.street import Light


def photograph(canvas: Image.Image, light: Light, rng: Random) -> Image.Image:
    """The picture as a camera would have taken it; same size."""
    image = canvas
    if light.weather == "rain":
        image = _rain(image, rng)
    if rng.random() < 0.12:
        _dashboard(image, rng)
    image = _lens(image, rng)
    image = _expose(image, rng)
    if rng.random() < 0.4:
        image = _vignette(image, rng)
    image = _grain(image, light, rng)
    if rng.random() < 0.12:
        _overlay(image, rng)
    if rng.random() < 0.35:
        image = _recompress(image, rng.randint(35, 92))
    return image


def encode_jpeg(image: Image.Image, quality: int) -> bytes:
    """Encode an RGB image as JPEG of the given quality, 1 to 95."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _recompress(image: Image.Image, quality: int) -> Image.Image:
    with Image.open(BytesIO(encode_jpeg(image, quality))) as again:
        return again.convert("RGB")


def _rain(image: Image.Image, rng: Random) -> Image.Image:
    """Streaks of falling rain and, behind a windscreen, drops."""
    width, height = image.size
    mask = Image.new("L", image.size, 0)
    draw, lean = ImageDraw.Draw(mask), rng.uniform(-0.3, 0.3)
    for _ in range(rng.randint(10, 90)):
        x, y, length = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.02, 0.1) * height
        draw.line((x, y, x + lean * length, y + length), fill=rng.randint(30, 110), width=max(1, width // 500))
    if rng.random() < 0.5:
        for _ in range(rng.randint(4, 25)):
            x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.004, 0.02) * width
            draw.ellipse((x - r, y - r, x + r, y + r * 1.3), fill=rng.randint(30, 90))
    mask = mask.filter(ImageFilter.BoxBlur(max(1, width // 300)))
    image.paste((206, 212, 220), (0, 0), mask)
    return image


def _dashboard(image: Image.Image, rng: Random) -> None:
    """The car's own bonnet or dashboard at the lower edge."""
    width, height = image.size
    top, arch = rng.uniform(0.86, 0.97) * height, rng.uniform(0.0, 0.06) * height
    tone = shade(rng, rng.choice(((30, 30, 32), (60, 60, 62), (150, 20, 20), (220, 220, 222), (40, 60, 110))))
    points = [(width * step / 8, top + arch * ((step - 4) / 4) ** 2) for step in range(9)]
    ImageDraw.Draw(image).polygon([(0, height), *points, (width, height)], fill=tone)


def _lens(image: Image.Image, rng: Random) -> Image.Image:
    """Focus, shake and low resolution, each only at times."""
    width, height = image.size
    unit = min(width, height) / 288
    kind = rng.random()
    if kind < 0.3:
        return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.1) * unit))
    if kind < 0.36:
        squeeze = rng.uniform(1.5, 4.0) * unit
        small = (max(8, int(width / squeeze)), height) if rng.random() < 0.7 else (width, max(8, int(height / squeeze)))
        return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR)
    if kind < 0.46:
        factor = rng.uniform(1.2, 2.4)
        small = (max(8, int(width / factor)), max(8, int(height / factor)))
        return image.resize(small, Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BICUBIC)
    if kind < 0.6:
        return image.filter(
            ImageFilter.UnsharpMask(radius=max(1, int(unit)), percent=rng.randint(40, 160), threshold=0)
        )
    return image


def _expose(image: Image.Image, rng: Random) -> Image.Image:
    """Exposure, contrast curve, white balance and saturation in one table and one matrix."""
    gain, gamma, lift = rng.uniform(0.82, 1.2), rng.uniform(0.8, 1.25), rng.choice((0.0, rng.uniform(0.0, 28.0)))
    balance = (rng.uniform(0.9, 1.1), rng.uniform(0.96, 1.04), rng.uniform(0.88, 1.12))
    table = [
        int(min(255.0, lift + (255.0 - lift) * min(1.0, gain * tint * level / 255.0) ** gamma))
        for tint in balance
        for level in range(256)
    ]
    saturation = rng.choice((1.0, rng.uniform(0.35, 1.1), rng.uniform(0.8, 1.45)))
    return _saturate(image.point(table), saturation)


def _saturate(image: Image.Image, amount: float) -> Image.Image:
    if abs(amount - 1.0) < 0.03:
        return image
    rest = 1.0 - amount
    luma = (0.299 * rest, 0.587 * rest, 0.114 * rest)
    red = (luma[0] + amount, luma[1], luma[2], 0.0)
    green = (luma[0], luma[1] + amount, luma[2], 0.0)
    blue = (luma[0], luma[1], luma[2] + amount, 0.0)
    return image.convert("RGB", matrix=(*red, *green, *blue))


@lru_cache(maxsize=1)
def _radial() -> Image.Image:
    return Image.radial_gradient("L").reduce(4)


def _vignette(image: Image.Image, rng: Random) -> Image.Image:
    strength = rng.uniform(0.2, 0.8)
    table = [int(255 * (1.0 - strength * (level / 255.0) ** 2)) for level in range(256)]
    mask = _radial().point(table).resize(image.size, Image.Resampling.BILINEAR)
    return ImageChops.multiply(image, Image.merge("RGB", (mask, mask, mask)))


def _grain(image: Image.Image, light: Light, rng: Random) -> Image.Image:
    """Sensor noise, more of it in the dark; coarser than a pixel at times."""
    strong = light.name == "night"
    strength = rng.choice((0, 2, 4, 6, 9, 14) if not strong else (4, 8, 12, 18))
    if not strength:
        return image
    tile = noise.grain(strength, rng.random() < 0.5, rng.random() < 0.33)
    factor = min(image.size) / 1200
    if factor > 1.5:
        tile = tile.resize((int(tile.width * factor), int(tile.height * factor)), Image.Resampling.BILINEAR)
    sheet = _tiled(tile, image.size, rng)
    return ImageChops.add(image, sheet, 1.0, -128)


def _tiled(tile: Image.Image, size: tuple[int, int], rng: Random) -> Image.Image:
    left, top = rng.randrange(tile.width), rng.randrange(tile.height)
    sheet = Image.new("RGB", size)
    for row in range(ceil((size[1] + top) / tile.height)):
        for column in range(ceil((size[0] + left) / tile.width)):
            sheet.paste(tile, (column * tile.width - left, row * tile.height - top))
    return sheet


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default()


def _overlay(image: Image.Image, rng: Random) -> None:
    """A dashcam's time stamp, speed or a logo."""
    width, height = image.size
    tone = rng.choice(((255, 255, 255), (255, 220, 60), (40, 110, 180), (255, 150, 40), (230, 60, 50)))
    text = f"{rng.randint(2015, 2026)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d} {rng.randint(0, 130)} km/h"
    layer = Image.new("L", (120, 14), 0)
    ImageDraw.Draw(layer).text((1, 1), text, fill=220, font=_font())
    scale = rng.uniform(0.25, 0.6) * width / 120
    layer = layer.resize((max(8, int(120 * scale)), max(4, int(14 * scale))))
    corner = (rng.randint(0, max(0, width - layer.width)), rng.choice((2, max(2, height - layer.height - 3))))
    image.paste(tone, corner, layer)
