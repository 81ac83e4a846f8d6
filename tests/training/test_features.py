"""What a frozen network says of pictures is computed once, survives a kill, and teaches a head as pictures would."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from streetvision.errors import OperatorError
from streetvision.sources.dataset import Example
from streetvision.training.augmenting import Augmentation, GpuAugment, plain_batch
from streetvision.training.features import FeatureStore, TokenLoader, Views, compute
from streetvision.training.loading import Loader, Loading

from .nets import SIZE, small_net
from .pictures import drawn_set

CPU = torch.device("cpu")


def store_in(folder: Path, *, kind: str = "cls_mean_linear", copies: int = 2, seed: int = 0) -> FeatureStore:
    views = Views(copies, GpuAugment(Augmentation(SIZE)), seed)
    return FeatureStore(folder, weights="w", net=small_net(kind=kind), kind=kind, views=views)


def computed(store: FeatureStore, examples: list[Example], *, kind: str = "cls_mean_linear") -> int:
    """How many pictures were computed."""
    done: list[int] = []
    net = small_net(kind=kind)
    compute(net, store, examples, batch=4, device=CPU, progress=lambda more, _: done.append(more))
    return sum(done)


@pytest.mark.parametrize("kind", ["cls_linear", "cls_mean_linear", "cls_mean_attention"])
def test_kept_tokens_answer_as_the_picture_does(tmp_path: Path, kind: str) -> None:
    examples = drawn_set(tmp_path / "set", 6).examples("train")
    store, net = store_in(tmp_path / "features", kind=kind), small_net(kind=kind)
    computed(store, examples, kind=kind)
    loading = Loading(6, 2 * SIZE, shuffle=False)
    (said,) = TokenLoader(store, examples, loading)
    (raw,) = Loader(examples, loading)
    mean, std = (value.view(1, 3, 1, 1) for value in (net.mean, net.std))
    with torch.no_grad():
        expected, _ = net.head(net.tokens((plain_batch(raw, SIZE).pixels - mean) / std))
        found, _ = net.head(said.tokens)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)  # kept in half precision
    torch.testing.assert_close(said.targets, raw.labels)


def test_nothing_is_computed_twice_and_a_kill_changes_nothing(tmp_path: Path) -> None:
    examples = drawn_set(tmp_path / "set", 10).examples("train")
    store = store_in(tmp_path / "features")
    assert computed(store, examples) == 10
    assert computed(store, examples) == 0
    before = {example.sha256: store.read(example) for example in examples}
    for example in examples[5:7]:
        store.path(example).unlink()
    assert computed(store, examples) == 4
    assert all(torch.equal(store.read(example), before[example.sha256]) for example in examples)
    other = store_in(tmp_path / "features", seed=1)
    assert computed(other, examples) == 10
    first = examples[0]
    assert torch.equal(other.read(first)[0], store.read(first)[0]), "the plain view is the same"
    assert not torch.equal(other.read(first)[1], store.read(first)[1])


def test_a_position_goes_on_where_it_was(tmp_path: Path) -> None:
    examples = drawn_set(tmp_path / "set", 10).examples("train")
    store = store_in(tmp_path / "features")
    computed(store, examples)
    loading = Loading(2, 0, positive_share=0.5)
    loader, again = (TokenLoader(store, examples, loading) for _ in range(2))
    batches = [*loader, *loader]
    again.load_state_dict({"epoch": 1, "batch": 2})
    rest = list(again)
    assert [one.indices.tolist() for one in rest] == [one.indices.tolist() for one in batches[7:]]
    assert all(torch.equal(one.tokens, two.tokens) for one, two in zip(rest, batches[7:], strict=True))


def test_a_damaged_file_and_a_full_disk_are_told(tmp_path: Path) -> None:
    examples = drawn_set(tmp_path / "set", 2).examples("train")
    store = store_in(tmp_path / "features")
    computed(store, examples)
    store.path(examples[0]).write_bytes(b"no tensors")
    with pytest.raises(OperatorError, match="is damaged"):
        store.read(examples[0])
    with pytest.raises(OperatorError, match=r"set augment\.copies = 1"):
        store.require_room(10**12)
