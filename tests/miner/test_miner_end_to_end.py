"""The whole miner in this process, on the mocked chain, with a real model: pictures of every kind, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import struct
import time
import uuid
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streetvision.axon.client import legacy_headers, request_body
from streetvision.chain.mock.config import dev_hotkey
from streetvision.errors import ConfigError
from streetvision.miner.miner import Miner
from streetvision.miner.model_choice import choose_checkpoint
from streetvision.prediction_log.reader import LogReader
from streetvision.scenes.challenges import challenge
from streetvision.settings.settings import Settings


def settings_for(folder: Path, checkpoint: Path | None) -> Settings:
    return Settings(
        subtensor_network="mock",
        model=str(checkpoint) if checkpoint else "",
        compile=False,
        threads=1,
        axon_ip="127.0.0.1",
        axon_port=0,
        state_dir=folder / "state",
        mock_block_time=0.05,
        mock_tempo=5,
    )


@pytest.fixture
async def miner(tmp_path: Path, checkpoint: Path) -> AsyncIterator[Miner]:
    miner = Miner(settings_for(tmp_path, checkpoint))
    await miner.start()
    yield miner
    await miner.close()


def ask(port: int, body: bytes) -> tuple[int, dict[str, object]]:
    bob, own = dev_hotkey("Bob"), dev_hotkey("Miner").ss58_address
    headers = legacy_headers(bob, own, nonce_ns=time.time_ns(), uuid=str(uuid.uuid4()))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/ImageSynapse", body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def encode(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, format, **options)
    return target.getvalue()


PIXELS = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)
JPEG = encode(PICTURE)
EXIF = Image.Exif()
EXIF[0x0112] = 6

ANSWERED = {
    "jpeg": JPEG,
    "png": encode(PICTURE, "PNG"),
    "webp": encode(PICTURE, "WEBP"),
    "cmyk": encode(PICTURE.convert("CMYK")),
    "greyscale": encode(PICTURE.convert("L")),
    "16-bit": encode(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), "PNG"),
    "alpha": encode(PICTURE.convert("RGBA"), "PNG"),
    "palette": encode(PICTURE.convert("P"), "PNG"),
    "one bit": encode(PICTURE.convert("1"), "PNG"),
    "rotated by EXIF": encode(PICTURE, exif=EXIF),
    "progressive": encode(PICTURE, progressive=True),
    "one pixel": encode(PICTURE.resize((1, 1)), "PNG"),
    "large": encode(Image.new("RGB", (4032, 3024), (90, 90, 90))),
}


def bomb() -> bytes:
    """A PNG that claims 13,300 x 13,300 pixels in a few hundred kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 13_300, 13_300, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 39_901 * 13_300, 1))
        + chunk(b"IEND", b"")
    )


REFUSED = {
    "not an image": b"GET / HTTP/1.1",
    "truncated": JPEG[: len(JPEG) // 2],
    "gif": encode(PICTURE.convert("P"), "GIF"),
    "zero bytes": b"",
    "header only": JPEG[:20],
    "bomb": bomb(),
}


async def test_every_kind_of_picture_over_http(miner: Miner) -> None:
    port = miner.axon.port
    for name, data in ANSWERED.items():
        status, body = await asyncio.to_thread(ask, port, request_body(data))
        assert status == 200, (name, body)
        answer = body["prediction"]
        assert isinstance(answer, float)
        assert 0.0 <= answer <= 1.0
    for name, data in REFUSED.items():
        before = sum(miner.models.engine.stats().batches.values())
        status, body = await asyncio.to_thread(ask, port, request_body(data))
        assert status == 400, (name, body)
        assert body["message"]
        assert "prediction" not in body
        assert sum(miner.models.engine.stats().batches.values()) == before
    status, _ = await asyncio.to_thread(ask, port, json.dumps({"image": base64.b64encode(JPEG).decode()}).encode())
    assert status == 200


async def test_the_same_picture_gets_the_same_answer(miner: Miner) -> None:
    jpeg = challenge(5, native=False).jpeg
    answers = [(await asyncio.to_thread(ask, miner.axon.port, request_body(jpeg)))[1]["prediction"] for _ in range(3)]
    assert len(set(answers)) == 1


async def test_every_proven_request_is_logged_with_its_image(tmp_path: Path, checkpoint: Path) -> None:
    miner = Miner(settings_for(tmp_path, checkpoint))
    await miner.start()
    try:
        _, body = await asyncio.to_thread(ask, miner.axon.port, request_body(JPEG))
        await asyncio.to_thread(ask, miner.axon.port, request_body(b"no image"))
    finally:
        await miner.close()
    with LogReader(tmp_path / "state" / "log") as reader:
        answered, refused = reader.rows(embeddings=True)
        path = reader.image_path(answered.sha256)
    assert path is not None
    assert path.read_bytes() == JPEG
    assert answered.probability == pytest.approx(body["prediction"], abs=1e-6)
    assert answered.validator == dev_hotkey("Bob").ss58_address
    assert answered.embedding is not None
    assert answered.headroom_s is not None
    assert answered.inference_s > 0
    assert (refused.status, refused.reason, refused.image) == (400, "bad_image", "stored")


async def test_the_log_can_be_switched_off(tmp_path: Path, checkpoint: Path) -> None:
    miner = Miner(replace(settings_for(tmp_path, checkpoint), log_enabled=False))
    await miner.start()
    try:
        status, _ = await asyncio.to_thread(ask, miner.axon.port, request_body(JPEG))
    finally:
        await miner.close()
    assert status == 200
    assert not (tmp_path / "state" / "log").exists()


async def test_counters_and_age_are_on_the_registry(miner: Miner) -> None:
    await asyncio.to_thread(ask, miner.axon.port, request_body(JPEG))
    labels = {"dialect": "legacy", "status": "200", "reason": "ok"}
    assert miner.registry.get_sample_value("streetvision_axon_requests_total", labels) == 1.0
    age = miner.registry.get_sample_value("streetvision_chain_snapshot_age_seconds")
    assert age is not None
    assert 0 <= age < 60


async def test_a_metagraph_that_grows_old_does_not_stop_serving(miner: Miner) -> None:
    await miner.watcher.stop()
    await miner.chain.close()
    status, _ = await asyncio.to_thread(ask, miner.axon.port, request_body(JPEG))
    assert status == 200


async def test_standing_is_logged_every_tempo(miner: Miner) -> None:
    deadline = time.monotonic() + 20
    first = miner.monitoring.standing
    while miner.monitoring.standing == first and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert miner.monitoring.standing is not None
    assert first is None or miner.monitoring.standing.block > first.block


def test_a_public_network_does_not_start_on_drawings() -> None:
    with pytest.raises(ConfigError, match="insist with --model bundled"):
        choose_checkpoint(Settings())
    assert choose_checkpoint(Settings(model="bundled")) == choose_checkpoint(Settings(subtensor_network="mock"))
