"""The memory that decoding takes is known from the header: against what the process really took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.engine.header import read_header
from streetvision.engine.types import ImageTooLarge

from .memory_of_decoding import CASES, SIDES, estimate, pictures

FREE_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""For glibc: memory that is freed goes back, so that the next picture's peak is its own."""
MARGIN = 3 * 2**19


@pytest.fixture(scope="module")
def taken() -> dict[str, int]:
    """Bytes by which each decode raised the peak of a process of its own."""
    program = Path(__file__).with_name("memory_of_decoding.py")
    environment = os.environ | FREE_AT_ONCE | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True, check=True)
    peaks: dict[str, int] = json.loads(done.stdout)
    return peaks


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells a process's peak")
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", CASES)
def test_a_decode_takes_what_its_header_says(taken: dict[str, int], name: str, side: int) -> None:
    expected = estimate(pictures()[name], side)
    assert taken[f"{name} {side}"] <= expected
    assert 0.65 * expected - MARGIN <= taken[f"{name} {side}"]


def test_scale_and_coding_decide() -> None:
    made = pictures()
    scaled, full = (estimate(made["jpeg 4:2:0"], side) for side in SIDES)
    assert scaled < full / 3
    assert estimate(made["progressive 4:2:0"], SIDES[0]) > 3 * scaled
    assert read_header(made["jpeg 4:2:0"]).coefficients == 0
    assert read_header(made["progressive 4:4:4"]).coefficients == 3 * 1608 * 1208
    assert read_header(made["progressive 4:2:0"]).coefficients == 1616 * 1216 * 3 // 2
    assert read_header(made["progressive grey"]).coefficients == 1608 * 1208


def test_a_picture_beyond_the_memory_is_refused_by_its_header_and_a_cheaper_coding_of_it_is_not() -> None:
    made, limits = pictures(), DecodeLimits(max_memory=6 * 2**20)
    decode(made["jpeg 4:2:0"], size=SIDES[0], limits=limits, resize="squash")
    with pytest.raises(ImageTooLarge, match=r"the image takes \d+ MiB to decode, more than 6"):
        decode(made["progressive 4:4:4"], size=SIDES[0], limits=limits, resize="squash")
