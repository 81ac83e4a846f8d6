"""Draw the pictures that serving needs: `make pictures`. The scenes are new where their painter has changed.

New scenes make each machine judge its models' precision anew. The golden pictures never change (scenes/golden.py).
"""

from __future__ import annotations

from PIL import Image

from streetvision.models.golden import GOLDEN_FILE
from streetvision.runner.calibration_images import FOLDER, ROUNDING_FOLDER, SCENES
from streetvision.scenes.challenges import challenge
from streetvision.scenes.golden import SIDE, paint_golden

FIRST_SEED = 71_000_000
"""Training draws no scene of these seeds."""


def main() -> None:
    """Write them into the package's assets."""
    Image.fromarray(paint_golden().reshape(-1, SIDE, 3)).save(GOLDEN_FILE, optimize=True)
    for folder, first in ((FOLDER, FIRST_SEED), (ROUNDING_FOLDER, FIRST_SEED + SCENES)):
        folder.mkdir(exist_ok=True)
        for index in range(SCENES):
            (folder / f"{index:02}.jpg").write_bytes(challenge(first + index, native=False).jpeg)


if __name__ == "__main__":
    main()
