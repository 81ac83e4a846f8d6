"""A transformers ViT classifier, converted: its logits are those of transformers itself."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from streetvision.engine.engine import Engine
from streetvision.hub.importers import Wishes, add_model
from streetvision.models.checks import CheckpointError
from streetvision.models.config import ModelConfig
from streetvision.models.network import load
from streetvision.models.transformers_vit import convert
from streetvision.registry.model_import import read_golden
from streetvision.registry.registry import Registry
from streetvision.runner.opening import open_runner
from streetvision.runner.torch_runner import TorchRunner

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")

SIZES = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 80,
    "image_size": 48,
    "patch_size": 16,
}
Make = Callable[..., tuple[Path, Any]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A classifier with random weights, as transformers saves it; weights far from zero, so that labels differ."""

    def call(labels: tuple[str, ...] = ("none", "roadwork"), **changes: Any) -> tuple[Path, Any]:
        torch.manual_seed(len(labels))
        names = dict(enumerate(labels))
        config = transformers.ViTConfig(**{**SIZES, **changes, "id2label": names})
        model = transformers.ViTForImageClassification(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=0.3) if parameter.ndim > 1 else parameter.add_(torch.randn_like(parameter) * 0.1)
        folder = tmp_path / "theirs"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # transformers leaves a file open
            model.save_pretrained(folder)
        side = config.image_size
        processor = {
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5, 0.4, 0.3],
            "image_std": [0.5, 0.6, 0.7],
            "image_processor_type": "ViTImageProcessor",
            "resample": 2,
            "rescale_factor": 1 / 255,
            "size": {"height": side, "width": side},
        }
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
        return folder, model

    return call


def rewrite(path: Path, **changes: Any) -> None:
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in fields.items() if value is not ...}))


def converted(folder: Path, positive: tuple[str, ...] = ()) -> ModelConfig:
    return convert(folder, folder.parent / "ours", name="x", version="1.0.0", positive=positive, made_from="x")


def images(count: int = 5, side: int = 48) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def their_logits(model: Any, pixels: np.ndarray[Any, Any], positive: tuple[int, ...]) -> torch.Tensor:
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.5, 0.6, 0.7])
    values = ((torch.from_numpy(pixels) / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        shares = model(pixel_values=values).logits.double().log_softmax(dim=1)
    negative = [index for index in range(shares.shape[1]) if index not in positive]
    logits: torch.Tensor = shares[:, list(positive)].logsumexp(1) - shares[:, negative].logsumexp(1)
    return logits


def our_logits(folder: Path, pixels: np.ndarray[Any, Any]) -> torch.Tensor:
    net = load(folder.parent / "ours").net
    with torch.inference_mode():
        return net.forward_uint8(torch.from_numpy(pixels))[0].double()


@pytest.mark.parametrize(
    ("labels", "named", "positive"),
    [
        (("none", "roadwork"), (), (1,)),
        (("Roadwork", "None"), (), (0,)),
        (("NO_ROADWORK", "ROAD-WORK"), (), (1,)),
        (("LABEL_0", "LABEL_1"), ("label_1",), (1,)),
        (("cat", "cone", "barrier", "dog"), ("cone", "barrier"), (1, 2)),
        (("construction", "roadwork", "background"), (), (0, 1)),
    ],
)
def test_logits_are_those_of_transformers(
    make: Make, labels: tuple[str, ...], named: tuple[str, ...], positive: tuple[int, ...]
) -> None:
    folder, model = make(labels)
    config = converted(folder, named)
    theirs, ours = their_logits(model, images(), positive), our_logits(folder, images())
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert theirs.std() > 0.1
    assert config.card["positive"] == [labels[index] for index in positive]


@pytest.mark.parametrize("changes", [{"qkv_bias": False}, {"patch_size": 8}, {"layer_norm_eps": 1e-3}])
def test_other_sizes_and_settings_are_kept(make: Make, changes: dict[str, Any]) -> None:
    folder, model = make(**changes)
    converted(folder)
    torch.testing.assert_close(our_logits(folder, images()), their_logits(model, images(), (1,)), rtol=0, atol=1e-4)


def test_a_label_with_an_output_of_its_own_keeps_it(make: Make) -> None:
    folder, model = make(("wet", "roadwork", "night"), problem_type="multi_label_classification")
    converted(folder, ("roadwork",))
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.5, 0.6, 0.7])
    with torch.inference_mode():
        values = ((torch.from_numpy(images()) / 255 - mean) / std).permute(0, 3, 1, 2)
        theirs = model(pixel_values=values).logits[:, 1].double()
    torch.testing.assert_close(our_logits(folder, images()), theirs, rtol=0, atol=1e-4)
    with pytest.raises(CheckpointError, match="exactly one positive label"):
        converted(folder, ("roadwork", "night"))


def test_half_precision_weights_stay_half(make: Make) -> None:
    folder, model = make()
    state = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(state, folder / "model.safetensors")
    converted(folder)
    stored = load_file(folder.parent / "ours" / "model.safetensors")
    assert stored["backbone.blocks.0.attn.qkv.weight"].dtype == torch.float16
    theirs = their_logits(model.half().float(), images(), (1,))
    torch.testing.assert_close(our_logits(folder, images()), theirs, rtol=0, atol=1e-4)


def test_a_pooler_is_left_out_and_a_stranger_is_not(make: Make) -> None:
    folder, _ = make()
    state = load_file(folder / "model.safetensors")
    save_file(state | {"vit.pooler.dense.weight": torch.ones(48, 48)}, folder / "model.safetensors")
    converted(folder)
    save_file(state | {"vit.encoder.layer.0.gate": torch.ones(1)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"'vit\.encoder\.layer\.0\.gate' .* is not part of"):
        converted(folder)
    del state["vit.encoder.layer.1.layernorm_after.bias"]
    save_file(state, folder / "model.safetensors")
    converted(folder)
    with pytest.raises(CheckpointError, match=r"'backbone\.blocks\.1\.norm2\.bias' is missing"):
        load(folder.parent / "ours")


def test_the_runner_serves_it_compiled_or_not(make: Make) -> None:
    folder, model = make(("a", "b", "c"))
    converted(folder, ("b",))
    runner = TorchRunner(folder.parent / "ours", device="cpu", buckets=(2, 4), compile=False, threads=1)
    output = runner.run(images(3))
    expected = their_logits(model, images(3), (1,))
    torch.testing.assert_close(torch.from_numpy(output.logits).double(), expected, rtol=0, atol=1e-4)
    assert output.embeddings.shape == (3, 48)


def test_images_are_prepared_as_their_processor_does(make: Make, tmp_path: Path) -> None:
    folder, _ = make()
    config = converted(folder)
    assert (config.resize, config.resample) == ("squash", "bilinear")
    assert config.mean == (0.5, 0.4, 0.3)
    assert config.std == (0.5, 0.6, 0.7)
    picture = Image.fromarray(images(1, 150)[0]).resize((150, 100))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        processor = transformers.ViTImageProcessorPil.from_pretrained(folder)
        theirs = processor(picture, return_tensors="pt")["pixel_values"]
    ours = picture.resize((48, 48), Image.Resampling[config.resample.upper()])
    net = load(folder.parent / "ours").net
    pixels = net.preprocess(torch.from_numpy(np.asarray(ours).copy())[None])
    torch.testing.assert_close(pixels, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "resize", "resample", "mean", "std"),
    [
        ({"size": 48, "resample": 3}, "squash", "bicubic", 0.5, 0.5),
        ({"size": {"shortest_edge": 48}, "do_center_crop": True, "crop_size": 48}, "crop", "bilinear", 0.5, 0.5),
        ({"resample": 1, "do_normalize": False}, "squash", "lanczos", 0.0, 1.0),
        ({"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [255.0] * 3}, "squash", "bilinear", 0.5, 1.0),
        (
            {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3},
            "squash",
            "bilinear",
            0.5,
            0.5,
        ),
        ({"resample": ..., "size": {"height": 48, "width": 48}}, "squash", "bilinear", 0.5, 0.5),
    ],
)
def test_processors_of_other_minds(
    make: Make, changes: dict[str, Any], resize: str, resample: str, mean: float, std: float
) -> None:
    folder, _ = make()
    rewrite(folder / "preprocessor_config.json", **({"image_mean": [0.5] * 3, "image_std": [0.5] * 3} | changes))
    config = converted(folder)
    assert (config.resize, config.resample) == (resize, resample)
    assert config.mean == pytest.approx((mean,) * 3)
    assert config.std == pytest.approx((std,) * 3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"do_resize": False}, "do_resize must be true"),
        ({"size": {"height": 48, "width": 32}}, "this way to a square of 48 pixels"),
        ({"size": {"height": 64, "width": 64}}, "this way to a square of 48 pixels"),
        ({"size": {"shortest_edge": 54}, "do_center_crop": True, "crop_size": 48}, "this way to a square"),
        ({"size": 48, "image_processor_type": "DeiTImageProcessor"}, "this way to a square"),
        ({"size": "x"}, "this way to a square"),
        ({"resample": 9}, "9 is no filter"),
        ({"resample": "2"}, "'2' is no filter"),
        ({"image_mean": [0.5]}, "image_mean must be 3 numbers"),
        ({"image_std": [0.0] * 3}, "std"),
        ({"image_std": ["0.5"] * 3}, "image_std must be 3 numbers"),
        ({"rescale_factor": 0}, "no positive number"),
        ({"image_mean": [7.0] * 3}, "mean"),
    ],
)
def test_processors_that_are_not_followed_are_refused(make: Make, changes: dict[str, Any], sentence: str) -> None:
    folder, _ = make()
    rewrite(folder / "preprocessor_config.json", **changes)
    with pytest.raises(CheckpointError, match=sentence) as caught:
        converted(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_type": "deit"}, "only ViTForImageClassification is converted"),
        ({"architectures": ["ViTModel"]}, "only ViTForImageClassification is converted"),
        ({"hidden_act": "quick_gelu"}, "only gelu"),
        ({"num_channels": 1}, "RGB"),
        ({"hidden_size": "48"}, "hidden_size must be a whole number"),
        ({"hidden_size": 0}, "hidden_size must be a whole number"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers must be"),
        ({"num_hidden_layers": 1}, "not part of"),
        ({"qkv_bias": "yes"}, "qkv_bias must be true or false"),
        ({"image_size": [48, 32]}, "image_size must be"),
        ({"id2label": {"0": "none", "2": "roadwork"}}, "id2label must name the classifier's 2 outputs"),
        ({"id2label": {"0": "none"}}, "id2label must name"),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, "--positive LABEL"),
        ({"id2label": ...}, "--positive LABEL"),
        ({"id2label": {"0": "roadwork", "1": "Roadwork"}}, "--positive LABEL"),
        ({"id2label": {"0": "roadwork", "1": "construction"}}, "cannot all mean roadwork"),
        ({"id2label": {"0": "roadwork", "1": "detour"}}, "'roadwork', 'detour' mean roadwork is not clear"),
        ({"problem_type": "regression"}, "a regression not at all"),
    ],
)
def test_configs_that_are_no_such_classifier_are_refused(make: Make, changes: dict[str, Any], sentence: str) -> None:
    folder, _ = make()
    rewrite(folder / "config.json", **changes)
    with pytest.raises(CheckpointError, match=sentence) as caught:
        converted(folder)
        load(folder.parent / "ours")
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_named(make: Make) -> None:
    folder, _ = make()
    with pytest.raises(CheckpointError, match="no single label 'cone'; the labels are 'none', 'roadwork'"):
        converted(folder, ("cone",))
    state = load_file(folder / "model.safetensors")
    save_file({name: state[name] for name in state if "classifier" not in name}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="holds no classifier"):
        converted(folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no preprocessor_config\.json"):
        converted(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is a pickled file"):
        converted(folder)


@pytest.mark.parametrize("size", [(150, 100), (48, 48), (40, 90)])
async def test_a_picture_gets_the_logit_of_their_whole_pipeline(make: Make, size: tuple[int, int]) -> None:
    """From the bytes of a picture to the logit, their resizing included."""
    folder, model = make()
    converted(folder)
    picture = Image.fromarray(images(1, 64)[0]).resize(size)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        processor = transformers.ViTImageProcessorPil.from_pretrained(folder)
        theirs = model(**processor(picture, return_tensors="pt")).logits[0]
    data = BytesIO()
    picture.save(data, "PNG")
    engine = Engine(open_runner(folder.parent / "ours", device="cpu", compile=False, threads=1, buckets=(1,)))
    await engine.start()
    try:
        answer = await engine.predict(data.getvalue(), deadline=time.monotonic() + 30, priority=0.0)
    finally:
        await engine.close()
    assert answer.logit == pytest.approx(float(theirs[1] - theirs[0]), abs=1e-4)


def test_a_folder_becomes_a_version_and_tells_nothing_of_this_machine(make: Make, tmp_path: Path) -> None:
    folder, _ = make()
    (folder / "README.md").write_text("words")
    registry = Registry(tmp_path / "models")
    added = add_model(str(folder), registry)
    assert (added.version, added.name, added.servable) == ("1.0.0", "theirs", True)
    assert added.source == str(folder)
    assert str(tmp_path) not in (added.folder / "model.json").read_text()
    assert (added.folder / "README.md").read_text() == "words"
    assert registry.verify("1.0.0") == []
    again = add_model(str(folder), registry, Wishes(version="1.1.0", positive=("none",)))
    assert again.card["positive"] == ["none"]
    first, second = read_golden(added.folder), read_golden(again.folder)
    assert first is not None
    assert second == pytest.approx([-logit for logit in first], abs=1e-5)
