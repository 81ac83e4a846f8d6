"""What an operator asks of a new run."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.models.versions import is_version
from streetvision.training.recipe import Recipe, RecipeError


@dataclass(frozen=True, slots=True)
class Wish:
    """Raises RecipeError for a version that is none."""

    recipe: Recipe
    named: str
    """The recipe's name or file."""
    version: str = ""
    """Under which to add the model; empty: the next one."""

    def __post_init__(self) -> None:
        require_version(self.version)


def require_version(version: str) -> None:
    """Raise RecipeError unless it is one, or empty."""
    if version and not is_version(version):
        raise RecipeError(f"{version!r:.100} is no semantic version such as 1.0.0")
