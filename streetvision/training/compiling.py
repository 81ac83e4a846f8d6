"""Functions of tensors that read and write memory once on a GPU, where each operation would do so by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

import torch

Given = ParamSpec("Given")
Result = TypeVar("Result")


def compiled_on_cuda(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Compiled where the first argument is a tensor on CUDA, once more for shapes that vary; as it is elsewhere.

    The function draws no random numbers: they come as arguments.
    """

    @lru_cache(maxsize=1)
    def compiled() -> Callable[Given, Result]:
        made: Callable[Given, Result] = torch.compile(function)
        return made

    @wraps(function)
    def either(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        on_cuda = isinstance(args[0], torch.Tensor) and args[0].is_cuda
        return (compiled() if on_cuda else function)(*args, **kwargs)

    return either
