"""What a frozen backbone says of pictures, computed once and kept: a head then learns in minutes on a laptop.

One safetensors file for each picture, below a folder whose name says everything else that the tokens depend on. A file
appears by one rename, so a computation that was killed goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from streetvision.base.disk import sentences
from streetvision.errors import OperatorError, reason
from streetvision.models.network import StreetVisionNet
from streetvision.sources.dataset import Example
from streetvision.training.augmenting import GpuAugment, plain_batch
from streetvision.training.batch import RawBatch
from streetvision.training.decode_pool import DecodePool
from streetvision.training.loading import CANVAS_SCALE, Loader, Loading
from streetvision.training.module import TokenBatch
from streetvision.training.order import Indices, epoch_order, shard

MEANS = ("cls_linear", "cls_mean_linear")
"""Heads that ask for nothing of the patches but their mean: CLS and that mean are all that is kept."""
IN_MEMORY_BYTES = 4 << 30
"""Tokens up to this many bytes are held in memory; more are read from disk in every epoch."""
_COPY, _TURN = 4, 5
"""Streams of randomness, apart from those of `order`."""


@dataclass(frozen=True, slots=True)
class Views:
    """Which views of each picture are kept: the first is plain, the others are augmented."""

    count: int
    augment: GpuAugment
    seed: int

    def key(self) -> str:
        """Changes whenever a view would."""
        how = self.augment.augmentation
        return json.dumps([self.count, self.seed, repr(how)] if self.count > 1 else [1])


class FeatureStore:
    """The tokens [V, T, D] of pictures by their digest, half precision, for one network and one way of viewing."""

    def __init__(self, folder: Path, *, weights: str, net: StreetVisionNet, kind: str, views: Views) -> None:
        """`weights` is the SHA-256 of the network's weights, `kind` its head's."""
        said = json.dumps([1, weights, net.input_size, kind in MEANS, views.key()])
        self.folder = folder / hashlib.sha256(said.encode()).hexdigest()[:16]
        self.views, self.compact = views, kind in MEANS
        self.prefix: int = net.backbone.num_prefix_tokens
        kept = 2 if self.compact else 1 + int(net.backbone.patch_embed.num_patches)
        self.bytes_each: int = 2 * views.count * kept * net.backbone.num_features

    def path(self, example: Example) -> Path:
        """Where a picture's tokens lie."""
        name = example.sha256 or hashlib.sha256(str(example.path).encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.safetensors"

    def require_room(self, missing: int) -> None:
        """OperatorError unless the disk takes that many more."""
        self.folder.mkdir(parents=True, exist_ok=True)
        needed, free = missing * self.bytes_each, shutil.disk_usage(self.folder).free
        if needed > 0.9 * free:
            raise OperatorError(
                f"the features of {missing:,} pictures take {needed / 2**30:,.1f} GiB and {free / 2**30:,.1f} GiB are "
                "free: free some space, set augment.copies = 1, or tune.method = last, which keeps none"
            )

    def write(self, example: Example, tokens: torch.Tensor) -> None:
        """Keep tokens [V, T', D] of a picture."""
        path = self.path(example)
        with sentences("Keeping the features"):
            path.parent.mkdir(exist_ok=True)
            place = path.with_suffix(".part")
            try:
                save_file({"tokens": tokens.half().cpu().contiguous()}, place)
            except SafetensorError as error:  # a full disk comes as one
                raise OperatorError(f"keeping the features failed ({reason(error)}): free some space") from error
            place.replace(path)

    def read(self, example: Example) -> torch.Tensor:
        """Tokens float16 [V, T', D]; OperatorError when the file is damaged."""
        path = self.path(example)
        try:
            return load_file(path)["tokens"]
        except (OSError, SafetensorError, KeyError) as error:
            raise OperatorError(f"{path} is damaged ({reason(error)}): remove {self.folder}") from error

    def shrunk(self, tokens: torch.Tensor) -> torch.Tensor:
        """Of tokens [N, T, D] what is kept: CLS with the patches, or with their mean."""
        cls, patches = tokens[:, :1], tokens[:, self.prefix :]
        return torch.cat([cls, patches.mean(dim=1, keepdim=True) if self.compact else patches], dim=1)

    def grown(self, kept: torch.Tensor) -> torch.Tensor:
        """What is kept [N, T', D] as a head takes it [N, T, D]: nothing stands for the registers, which none reads."""
        registers = kept.new_zeros(len(kept), self.prefix - 1, kept.shape[2])
        return torch.cat([kept[:, :1], registers, kept[:, 1:]], dim=1).float()


def compute(
    net: StreetVisionNet,
    store: FeatureStore,
    examples: Sequence[Example],
    *,
    batch: int,
    device: torch.device,
    progress: Callable[[int, int], None],
    pool: DecodePool | None = None,
) -> dict[Path, str]:
    """Keep what is missing; returns the pictures that could not be read, with the reasons.

    Pictures are varied by whole batches, always the same ones: a batch of which anything is missing is computed again,
    so that a computation that was killed ends as it would have.
    """
    batches = [examples[start : start + batch] for start in range(0, len(examples), batch)]
    lacking = [one for one in batches if not all(store.path(example).exists() for example in one)]
    wanted = [example for one in lacking for example in one]
    store.require_room(len(wanted))
    if not wanted:
        return {}
    how = Loading(batch, CANVAS_SCALE * net.input_size, shuffle=False)
    loader = Loader(wanted, how, device=device, pool=pool)
    net = net.to(device).eval()
    for chunk, raw in zip(lacking, loader, strict=True):
        views = torch.stack([_view(net, store, chunk, raw, copy) for copy in range(store.views.count)], dim=1)
        for index, tokens in zip(raw.indices.tolist(), views, strict=True):
            if not store.path(wanted[index]).exists():
                store.write(wanted[index], tokens)
        progress(len(raw), len(wanted))
    return loader.unreadable


@torch.no_grad()
def _view(
    net: StreetVisionNet, store: FeatureStore, chunk: Sequence[Example], raw: RawBatch, copy: int
) -> torch.Tensor:
    """What is kept of one view of each picture: [N, T', D]."""
    if copy == 0:
        pixels = plain_batch(raw, net.input_size).pixels
    else:
        pixels = store.views.augment(raw, _generator(store, chunk, copy, raw.images.device)).pixels
    mean, std = (value.view(1, 3, 1, 1) for value in (net.mean, net.std))
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=pixels.is_cuda):
        return store.shrunk(net.tokens((pixels - mean) / std).float())


def _generator(store: FeatureStore, chunk: Sequence[Example], copy: int, device: torch.device) -> torch.Generator:
    """The randomness of one view of a batch: of nothing but its pictures, the view's number and the seed."""
    names = "\n".join(store.path(example).stem for example in chunk)
    digest = int(hashlib.sha256(names.encode()).hexdigest()[:15], 16)
    state = np.random.SeedSequence((store.views.seed, _COPY, copy, digest)).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]) % 2**63)


class _Reading(NamedTuple):
    example: Example
    tokens: torch.Tensor | None


class TokenLoader:
    """Batches of kept tokens, epoch by epoch, in the order and with the position of `Loader`."""

    def __init__(self, store: FeatureStore, examples: Sequence[Example], loading: Loading) -> None:
        self.examples = [example for example in examples if store.path(example).exists()]
        self.loading, self.position = loading, (0, 0)
        self._store = store
        self._labels = np.array([example.label for example in self.examples])
        in_memory = len(self.examples) * store.bytes_each <= IN_MEMORY_BYTES
        self._kept = [_Reading(one, store.read(one) if in_memory else None) for one in self.examples]

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._batches(0))

    def __iter__(self) -> Iterator[TokenBatch]:
        """What is left of the present epoch."""
        epoch, start = self.position
        batches = self._batches(epoch)
        for step in range(start, len(batches)):
            self.position = (epoch, step + 1) if step + 1 < len(batches) else (epoch + 1, 0)
            yield self._batch(epoch, batches[step])

    def state_dict(self) -> dict[str, int]:
        """The position, for a checkpoint."""
        return dict(zip(("epoch", "batch"), self.position, strict=True))

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position."""
        self.position = (state["epoch"], state["batch"])

    def _batches(self, epoch: int) -> list[Indices]:
        how, order = self.loading, np.arange(len(self.examples))
        if how.shuffle:
            whole = how.batch * how.world
            count = max(1, len(order) // whole) * whole
            order = epoch_order(self._labels, count, seed=how.seed, epoch=epoch, positive_share=how.positive_share)
        return shard(order, how.batch, rank=how.rank, world=how.world)

    def _batch(self, epoch: int, indices: Indices) -> TokenBatch:
        rows = [self._tokens(epoch, int(index)) for index in indices]
        return TokenBatch(
            self._store.grown(torch.stack(rows)),
            torch.from_numpy(self._labels[indices].astype(np.float32)),
            torch.tensor([self.examples[index].weight for index in indices], dtype=torch.float32),
            torch.from_numpy(np.asarray(indices, np.int64)),
        )

    def _tokens(self, epoch: int, index: int) -> torch.Tensor:
        """One view of a picture: the plain one where judged, another one in each epoch where learnt from."""
        reading = self._kept[index]
        tokens = self._store.read(reading.example) if reading.tokens is None else reading.tokens
        if not self.loading.shuffle:
            return tokens[0]
        return tokens[int(np.random.default_rng((self.loading.seed, _TURN, epoch, index)).integers(len(tokens)))]
