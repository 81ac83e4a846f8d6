"""`siglip2:`: the same answers as open_clip's two towers, from the image tower alone; refusals leave nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("open_clip", reason="needs the extra siglip")

import open_clip

from streetvision.errors import OperatorError
from streetvision.hub.client import Hub
from streetvision.hub.importers import Wishes, add_model
from streetvision.hub.siglip import _TAG as TAG_PATTERN
from streetvision.hub.siglip import PromptWishes
from streetvision.models import text_tower
from streetvision.models.architectures import architecture_of
from streetvision.models.network import load
from streetvision.models.open_clip_files import read_open_clip
from streetvision.models.prompts import Prompts
from streetvision.registry.registry import Registry
from streetvision.runner.torch_runner import TorchRunner

from .fake_hub import FakeHub
from .open_clip_model import NAME, WIDTH, description, write_model

TAG = "ViT-B-16-SigLIP2"
PROMPTS = Prompts(
    {"en": ("road works", "cones"), "de": ("Baustelle",)}, {"en": ("an empty street",), "de": ("eine Strasse",)}
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("clip") / "nano"
    return folder, write_model(folder)


def copy_of(folder: Path, target: Path) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def wishes(prompts: Prompts = PROMPTS, **more: Any) -> Wishes:
    return Wishes(prompted=PromptWishes(prompts), **more)


def by_open_clip(model: Any, folder: Path, prompts: Prompts, images: torch.Tensor) -> torch.Tensor:
    """Logits of every prompt [N, P], by both towers."""
    from open_clip.tokenizer import HFTokenizer

    tokenizer = HFTokenizer(str(folder), context_length=64, clean="canonicalize")
    tokens = tokenizer([*prompts.texts("for"), *prompts.texts("against")])
    assert tokens.shape == (5, 64)
    pixels = ((images.float() / 255 - 0.5) / 0.5).permute(0, 3, 1, 2)
    pictures, texts = model.encode_image(pixels, normalize=True), model.encode_text(tokens, normalize=True)
    logits: torch.Tensor = model.logit_scale.exp() * pictures @ texts.T + model.logit_bias
    return logits


@torch.inference_mode()
def test_a_version_answers_as_both_towers_do_without_the_text_tower(made: tuple[Path, Any], tmp_path: Path) -> None:
    folder, model = made
    registry = Registry(tmp_path / "models")
    added = add_model(f"siglip2:{folder}", registry, wishes())
    assert (added.name, added.version, added.servable) == ("nano", "0.1.0-nano", True)
    images = torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    each = by_open_clip(model, folder, PROMPTS, images)
    expected = (each[:, :3].exp().mean(1) / each[:, 3:].exp().mean(1)).log()
    loaded = load(added.folder)
    torch.testing.assert_close(loaded.net.forward_uint8(images)[0], expected, rtol=0, atol=2e-4)
    assert not any("text" in name for name in loaded.net.state_dict())
    assert loaded.config.architecture == NAME
    assert loaded.config.card["prompts"]["for"] == {"en": ["road works", "cones"], "de": ["Baustelle"]}
    assert loaded.config.card["logit_scale"] == pytest.approx(54.5982, abs=1e-3)
    runner = TorchRunner(added.folder, device="cpu", buckets=(4,), threads=1)
    runner.warmup()
    assert runner.fast
    np.testing.assert_allclose(runner.run(images.numpy()).logits, expected.numpy(), rtol=0, atol=2e-3)
    assert registry.verify(added.version) == []


@torch.inference_mode()
def test_a_side_may_be_the_mean_of_its_prompts(made: tuple[Path, Any], tmp_path: Path) -> None:
    folder, model = made
    prompts = Prompts(PROMPTS.roadwork, PROMPTS.other, "mean")
    added = add_model(f"siglip2:{folder}", Registry(tmp_path / "models"), wishes(prompts, version="1.2.0"))
    assert added.version == "1.2.0"
    images = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    each = by_open_clip(model, folder, PROMPTS, images) - model.logit_bias
    loaded = load(added.folder)
    assert loaded.config.head.classes == 2
    ours, other = (part.mean(1) for part in (each[:, :3], each[:, 3:]))
    # Means of unit vectors are shorter than one, each by a factor of its own.
    got = loaded.net.head.classes(loaded.net.tokens(loaded.net.preprocess(images))[:, 0]) - model.logit_bias
    for column, mean in ((0, ours), (1, other)):
        ratio = got[:, column] / mean
        assert float(ratio.std()) < 1e-3 and float(ratio.mean()) >= 1.0


def test_it_is_fetched_from_the_hub_and_other_prompts_fetch_nothing_again(
    made: tuple[Path, Any], tmp_path: Path, server: FakeHub, hub: Hub, registry: Registry
) -> None:
    files = {path.name: path.read_bytes() for path in made[0].iterdir()}
    server.repo(f"timm/{TAG}", {**files, "open_clip_pytorch_model.bin": b"pickled"})
    empty = Prompts({"en": ("road " * 70,)}, PROMPTS.other)
    with pytest.raises(OperatorError, match="has more than 64 tokens: write a shorter one"):
        add_model(f"siglip2:{TAG}", registry, wishes(empty, hub=hub))
    assert registry.versions()[1:] == ()
    fetched = [path for path in server.paths("GET") if "open_clip_model" in path]
    added = add_model(f"siglip2:{TAG}", registry, wishes(hub=hub))
    assert (added.version, added.source) == (f"0.1.0-{TAG}", f"siglip2:{TAG}")
    assert [path for path in server.paths("GET") if "open_clip_model" in path] == fetched
    assert not any("pytorch_model" in path for path in server.paths("GET"))
    assert list((registry.folder / "pulls").rglob("*.safetensors")) == []


def test_the_hub_says_what_stands_in_the_way(
    made: tuple[Path, Any], server: FakeHub, hub: Hub, registry: Registry
) -> None:
    with pytest.raises(OperatorError, match=f"timm/{TAG}@main does not exist or is private"):
        add_model(f"siglip2:{TAG}", registry, wishes(hub=hub))
    server.repo(f"timm/{TAG}", {"open_clip_config.json": b"{}"})
    with pytest.raises(OperatorError, match="so it holds no model of open_clip's: name another"):
        add_model(f"siglip2:{TAG}", registry, wishes(hub=hub))
    server.repo(f"timm/{TAG}", {path.name: path.read_bytes() for path in made[0].iterdir()}).gated = True
    with pytest.raises(OperatorError, match="is gated: accept its terms"):
        add_model(f"siglip2:{TAG}", registry, wishes(hub=hub))
    with pytest.raises(OperatorError, match="cannot be reached for"):
        add_model(f"siglip2:{TAG}", registry, wishes(hub=Hub("http://127.0.0.1:9", sleep=lambda _: None)))
    assert registry.versions()[1:] == ()


def test_a_plain_pull_of_two_towers_names_the_way(server: FakeHub, hub: Hub, registry: Registry) -> None:
    server.repo("timm/nano", {"open_clip_config.json": b"{}", "open_clip_model.safetensors": b"x"})
    with pytest.raises(OperatorError, match="holds two towers of open_clip's: a SigLIP 2 is added as siglip2:nano"):
        add_model("hf:timm/nano", registry, Wishes(hub=hub))


KNOWN = [name for name in open_clip.list_models() if "SigLIP2" in name]


@pytest.mark.parametrize("name", KNOWN)
def test_every_siglip_2_that_open_clip_knows_is_understood(name: str, tmp_path: Path) -> None:
    """By its name, its description and the shapes of both towers; weights of such sizes are not made."""
    assert TAG_PATTERN.fullmatch(name)
    told = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(told))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / file).write_text("{}")
    scalars = {"logit_scale": torch.zeros(()), "logit_bias": torch.zeros(())}
    save_file(scalars, tmp_path / "open_clip_model.safetensors")
    files = read_open_clip(tmp_path)
    with torch.device("meta"):
        tower: Any = architecture_of(files.image_tower).create(files.image_tower, {}, input_size=files.input_size)
        text: Any = text_tower._built(files)
    assert tower.num_features == files.width == text.text_projection.out_features
    assert files.input_size == tower.patch_embed.img_size[0]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("siglip2:", "names no SigLIP 2: write siglip2:ViT-B-16-SigLIP2, say"),
        ("siglip2:ViT-B-16-SigLIP", "names no SigLIP 2"),
        ("siglip2:../../x", "names no SigLIP 2"),
        ("siglip2:vit_base_patch16_siglip_224.v2_webli", "names no SigLIP 2"),
    ],
)
def test_a_wrong_tag_is_told_before_anything_is_asked(source: str, sentence: str, registry: Registry) -> None:
    with pytest.raises(OperatorError, match=sentence):
        add_model(source, registry, wishes())


def test_options_that_do_not_belong_together(made: tuple[Path, Any], registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="--prompts and --calibrate belong to a siglip2: tag"):
        add_model(str(tmp_path), registry, wishes())
    with pytest.raises(OperatorError, match="--weights and --positive do not belong to a siglip2: tag"):
        add_model(f"siglip2:{made[0]}", registry, wishes(weights=tmp_path / "x.safetensors"))
    with pytest.raises(OperatorError, match=r"'1\.0' is no semantic version"):
        add_model(f"siglip2:{made[0]}", registry, wishes(version="1.0"))


def test_without_the_extra_the_command_names_it(
    made: tuple[Path, Any], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_tower, "find_spec", lambda name: None if name == "open_clip" else object())
    with pytest.raises(OperatorError, match=r"open_clip is not there: pip install 'streetvision\[siglip\]'"):
        add_model(f"siglip2:{made[0]}", registry, wishes())


def test_a_calibration_rewrites_what_enters_the_registry_or_nothing_enters(
    made: tuple[Path, Any], registry: Registry
) -> None:
    def spoil(folder: Path) -> None:
        raise OperatorError("too few pictures")

    with pytest.raises(OperatorError, match="too few pictures"):
        add_model(f"siglip2:{made[0]}", registry, Wishes(prompted=PromptWishes(PROMPTS, spoil)))
    assert registry.versions()[1:] == ()

    def warmer(folder: Path) -> None:
        path = folder / "model.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"temperature": 2.5}))

    added = add_model(f"siglip2:{made[0]}", registry, Wishes(prompted=PromptWishes(PROMPTS, warmer)))
    assert load(added.folder).config.temperature == 2.5
    with pytest.raises(OperatorError, match="-nano exists already: name another one with --version"):
        add_model(f"siglip2:{made[0]}", registry, wishes())


def spoiled(folder: Path, change: Any) -> Path:
    told = json.loads((folder / "open_clip_config.json").read_text())
    change(told)
    (folder / "open_clip_config.json").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda told: told["model_cfg"].update(embed_dim=128),
            "of unequal width: texts have 128 channels",
        ),
        (lambda told: told["model_cfg"]["vision_cfg"].update(timm_model_name="resnet50"), "architecture must be"),
        (lambda told: told["model_cfg"]["vision_cfg"].update(timm_proj="linear"), "must pool by attention alone"),
        (lambda told: told["model_cfg"]["vision_cfg"].update(image_size=96), r"image tower's weights .* do not fit"),
        (lambda told: told["model_cfg"]["text_cfg"].update(context_length=77), "of 64 tokens"),
        (lambda told: told["model_cfg"]["text_cfg"].update(hf_model_name="x/y"), "text tower .* is not SigLIP's"),
        (lambda told: told["model_cfg"]["text_cfg"].update(layers=3), "text tower's weights .* do not fit"),
        (lambda told: told["model_cfg"]["text_cfg"].update(layers=10**9), "no weights for 1000000000 layers"),
        (lambda told: told["model_cfg"]["text_cfg"].update(heads=0), "text tower .* cannot be built"),
        (lambda told: told["model_cfg"]["text_cfg"].update(norm_kwargs={"eps": "a"}), "cannot be computed"),
        (
            lambda told: told["model_cfg"]["text_cfg"].update(magic=1),
            "'magic', which this open_clip does not know",
        ),
        (lambda told: told.pop("model_cfg"), "open_clip_config.json lacks model_cfg"),
    ],
)
def test_a_folder_that_is_no_siglip_is_refused(
    made: tuple[Path, Any], tmp_path: Path, registry: Registry, change: Any, sentence: str
) -> None:
    folder = spoiled(copy_of(made[0], tmp_path / "copy"), change)
    with pytest.raises(OperatorError, match=sentence) as caught:
        add_model(f"siglip2:{folder}", registry, wishes())
    assert "\n" not in str(caught.value)
    assert registry.versions()[1:] == ()


def test_damaged_files_are_refused(made: tuple[Path, Any], tmp_path: Path, registry: Registry) -> None:
    folder = copy_of(made[0], tmp_path / "copy")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(OperatorError, match=r"The tokenizer in .* cannot be read"):
        add_model(f"siglip2:{folder}", registry, wishes())
    (folder / "tokenizer.json").unlink()
    with pytest.raises(OperatorError, match=r"has no tokenizer\.json: fetch the model again"):
        add_model(f"siglip2:{folder}", registry, wishes())
    folder = copy_of(made[0], tmp_path / "other")
    state = load_file(folder / "open_clip_model.safetensors")
    save_file({**state, "logit_scale": torch.tensor(float("nan"))}, folder / "open_clip_model.safetensors")
    with pytest.raises(OperatorError, match=r"logit_scale .* is no finite number"):
        add_model(f"siglip2:{folder}", registry, wishes())
    del state["logit_bias"]
    save_file(state, folder / "open_clip_model.safetensors")
    with pytest.raises(OperatorError, match="lack logit_bias"):
        add_model(f"siglip2:{folder}", registry, wishes())
    assert description()["model_cfg"]["embed_dim"] == WIDTH
