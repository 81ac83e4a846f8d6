"""A network whose every weight is loaded next needs no random start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode


class WithoutRandomStart(TorchFunctionMode):
    """Leave parameters as the allocator gave them: whatever would change one in place does nothing.

    Drawing 300 million random numbers, only to overwrite them, takes seconds of a core that may be serving meanwhile.
    Buffers are computed as always. Holds for the present thread alone.
    """

    def __torch_function__(  # torch calls it for every operation under the mode
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  # whatever the operation returns
        given = kwargs or {}
        target = args[0] if args else given.get("tensor")
        name = getattr(func, "__name__", "")
        if isinstance(target, nn.Parameter) and name.endswith("_") and not name.startswith("_"):
            return target
        return func(*args, **given)
