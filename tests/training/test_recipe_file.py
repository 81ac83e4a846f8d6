"""Recipes are read strictly: a typo is told with the nearest key, a wrong value with what may stand there."""

from __future__ import annotations

from pathlib import Path

import pytest

from streetvision.training.recipe import Recipe, RecipeError
from streetvision.training.recipe_file import NAMED, changed, named_recipe, parse_recipe, read_recipe, to_toml


@pytest.mark.parametrize("name", NAMED)
def test_named_recipes_read_and_write(name: str) -> None:
    recipe = named_recipe(name)
    assert parse_recipe(to_toml(recipe), "again") == recipe
    assert recipe.tune.method == {"quick": "head", "lora": "lora", "full": "full"}[name]


def test_an_empty_file_has_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    assert read_recipe(tmp_path / "empty.toml") == Recipe()


def test_keys_on_top_of_a_recipe() -> None:
    overrides = [
        "run.batch=8",
        "model.weights=active",
        "optimiser.lr = 1",
        'data.sets=["a", "b"]',
        "run.precision=fp32",
    ]
    recipe = named_recipe("quick", overrides)
    assert (recipe.run.batch, recipe.model.weights, recipe.optimiser.lr) == (8, "active", 1.0)
    assert (recipe.data.sets, recipe.run.precision) == (("a", "b"), "fp32")
    assert named_recipe("quick", ["data.sets=works"]).data.sets == ("works",)
    assert changed(recipe, named_recipe("quick"))[0] == "model.weights"


def test_odd_texts_survive() -> None:
    recipe = parse_recipe('[data]\nsets = ["a\\"b\\\\\\u007f\\n"]', "odd")
    assert parse_recipe(to_toml(recipe), "again") == recipe


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[optimizer]\nlr = 1e-3", "unknown section [optimizer]: did you mean optimiser?"),
        ("[run]\nbach = 3", "unknown key run.bach: did you mean batch?"),
        ("[run]\nzzzzzz = 3", "unknown key run.zzzzzz; there are batch, accumulate"),
        ("run = 3", "run is a section: write [run]"),
        ('[run]\nbatch = "8"', "run.batch must be a whole number, not '8'"),
        ("[run]\nbatch = true", "run.batch must be a whole number, not True"),
        ("[run]\nbatch = 0", "run.batch must be between 1 and 65536, not 0"),
        ("[optimiser]\nlr = nan", "optimiser.lr must be between"),
        ('[tune]\nmethod = "lorra"', "tune.method must be one of head, lora, last, full, not 'lorra'"),
        ('[model]\nhead = "cls"', "model.head must be one of cls_cosine, cls_linear"),
        ("[data]\nsets = [1]", "data.sets must be a list of words"),
        ("[augment]\nvalidator = 0.7", "they must add up to 1"),
        ('[run]\nstrategy = "fsdp"\n[optimiser]\nema = 0.9', "set optimiser.ema = 0"),
        ("[loss]\nmixup = 0.2", "tune.method = head learns from what the backbone said"),
        ("[run", "is no TOML"),
        (f"[run]\nbatch = {'9' * 400}", "run.batch is a number of 400 digits"),
        (f"[optimiser]\nlr = -{'9' * 400}", "optimiser.lr is a number of 400 digits"),
        (f"[run]\nbatch = {'9' * 5000}", "is no TOML"),
    ],
)
def test_what_cannot_be_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(RecipeError) as told:
        parse_recipe(text, "my.toml")
    assert words in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("value", ["9" * 400, "9" * 5000, "[" * 5000])
def test_an_override_of_any_size_is_one_sentence(value: str) -> None:
    with pytest.raises(RecipeError, match=r"^run\.batch (is a number of 400 digits|must be a whole number)"):
        named_recipe("quick", [f"run.batch={value}"])


@pytest.mark.parametrize("override", ["batch=3", "run.batch", "run=3", "=3", "run.=3"])
def test_an_override_that_sets_nothing(override: str) -> None:
    with pytest.raises(RecipeError, match=r"--set section\.key=value"):
        named_recipe("quick", [override])


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="it is not a text file"):
        read_recipe(tmp_path / "binary.toml")
    with pytest.raises(RecipeError, match="there is no recipe 'quik'"):
        named_recipe("quik")
    with pytest.raises(RecipeError, match="is larger than a recipe"):
        read_recipe(Path("/dev/zero"))


def test_a_mark_of_byte_order_is_no_part_of_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "editor.toml").write_bytes(b"\xef\xbb\xbf[run]\nbatch = 3\n")
    assert read_recipe(tmp_path / "editor.toml").run.batch == 3
