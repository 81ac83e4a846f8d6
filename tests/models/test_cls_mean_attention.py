"""The attention-pooling head: its formula, its checkpoint, its scores, and that it can find a needle in the patches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from streetvision_kernels.head_attention_oracle import attention_head_oracle

from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.checks import CheckpointError
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.heads import head_kind
from streetvision.models.heads.cls_mean_attention import AttentionHead
from streetvision.models.network import build, load, tiny_config
from streetvision.runner.torch_runner import TorchRunner

CONFIG = replace(
    tiny_config(depth=1, width=64), input_size=48, head=HeadConfig("cls_mean_attention", 192), temperature=1.4
)


def head(width: int = 8, prefix: int = 5) -> AttentionHead:
    torch.manual_seed(0)
    made = head_kind("cls_mean_attention").build(CONFIG.head, width, prefix)
    assert isinstance(made, AttentionHead)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


def test_the_oracle_is_the_formula_of_its_docstring() -> None:
    rng = np.random.default_rng(0)
    tokens, score = rng.normal(size=(2, 9, 3)), rng.normal(size=3)
    gain, offset, weight = rng.normal(size=(3, 9))
    patches = tokens[:, 5:]
    shares = np.exp(patches @ score)
    shares /= shares.sum(1, keepdims=True)
    attended = (shares[..., None] * patches).sum(1)
    pooled = np.concatenate((tokens[:, 0], patches.mean(1), attended), axis=1)
    normed = (pooled - pooled.mean(1, keepdims=True)) / np.sqrt(pooled.var(1, keepdims=True) + 0.1) * gain + offset
    logits, embeddings = attention_head_oracle(
        torch.from_numpy(tokens),
        *(torch.from_numpy(v) for v in (score, gain, offset, weight)),
        torch.tensor([0.4], dtype=torch.float64),
        prefix=5,
        eps=0.1,
        scale=0.5,
        shift=-2.0,
    )
    np.testing.assert_allclose(logits.numpy(), (normed @ weight + 0.4) * 0.5 + 2.0, rtol=1e-12)
    np.testing.assert_allclose(embeddings.numpy(), pooled, rtol=1e-12)


def test_the_scores_are_those_that_weigh_the_patches() -> None:
    made, tokens = head(), torch.randn(3, 12, 8)
    scores = made.scores(tokens)
    assert scores.shape == (3, 7) and scores.dtype == torch.float32
    expected = (scores.softmax(1)[..., None] * tokens[:, 5:]).sum(1)
    torch.testing.assert_close(made(tokens)[1][:, 16:], expected)


def test_the_scores_bias_moves_scores_alone() -> None:
    made, tokens = head(), torch.randn(3, 12, 8)
    before, answer = made.scores(tokens), made(tokens)
    made.score.bias.data += 3.0
    torch.testing.assert_close(made.scores(tokens), before + 3.0)
    torch.testing.assert_close(made(tokens), answer)


def test_registers_enter_nothing() -> None:
    made, tokens = head(), torch.randn(2, 12, 8)
    other = tokens.clone()
    other[:, 1:5] = 100.0
    torch.testing.assert_close(made(other), made(tokens), rtol=0, atol=0)


def test_huge_scores_do_not_overflow() -> None:
    made, tokens = head(), torch.randn(2, 12, 8)
    made.score.weight.data *= 1e4
    logits, pooled = made(tokens)
    best = made.scores(tokens).argmax(1)
    torch.testing.assert_close(pooled[:, 16:], tokens[torch.arange(2), 5 + best])
    assert torch.isfinite(logits).all()


def test_autocast_leaves_it_in_float32() -> None:
    made, tokens = head(), torch.randn(2, 12, 8)
    with torch.autocast("cpu", torch.bfloat16):
        scores, answer = made.scores(tokens), made(tokens)
    torch.testing.assert_close(scores, made.scores(tokens), rtol=0, atol=0)
    torch.testing.assert_close(answer, made(tokens), rtol=0, atol=0)


def test_it_learns_to_find_one_patch_among_many() -> None:
    """One patch of 96 carries a mark; the scores must come to single it out."""
    torch.manual_seed(1)
    made, labels = head_kind("cls_mean_attention").build(CONFIG.head, 8, 1), (torch.arange(64) % 2).float()
    tokens = torch.randn(64, 97, 8)
    places = torch.randint(1, 97, (64,))
    tokens[torch.arange(64), places, 0] = torch.where(labels == 1, 6.0, tokens[torch.arange(64), places, 0])
    optimizer = torch.optim.AdamW(made.parameters(), 0.05)
    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(made(tokens)[0], labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's gap
        optimizer.step()
    assert isinstance(made, AttentionHead)
    found = made.scores(tokens).argmax(1)[labels == 1] == places[labels == 1] - 1
    assert float(found.float().mean()) > 0.9


def test_its_checkpoint_comes_back_and_serves(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = build(CONFIG)
    written = save_checkpoint(tmp_path / "model", CONFIG, net.state_dict())
    assert ModelConfig.from_json(written.to_json()) == written
    assert set(net.head.state_dict()) == {
        f"{layer}.{part}" for layer in ("score", "norm", "fc") for part in ("weight", "bias")
    }
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    runner = TorchRunner(tmp_path / "model", device="cpu", buckets=(1, 4), threads=1)
    runner.warmup()
    with torch.inference_mode():
        logits, embeddings = load(tmp_path / "model").net.forward_uint8(torch.from_numpy(images))
    got = runner.run(images)
    assert got.embeddings.shape == (3, 192)
    np.testing.assert_allclose(got.logits, logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(got.embeddings, embeddings.numpy(), atol=1e-4)


def test_another_embedding_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"embedding_dim is 128, but .* gives 192"):
        build(replace(CONFIG, head=HeadConfig("cls_mean_attention", 128)))
