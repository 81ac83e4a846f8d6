"""A group of commands one of which may be left out: `train CONFIG`, `video FILE`."""

from __future__ import annotations

from typing import Any, ClassVar

from typer.core import TyperGroup


class DefaultGroup(TyperGroup):
    """What begins with no command's name goes to `default_command`."""

    default_command: ClassVar[str]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's signature
        """Put the command's name in where it was left out."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [self.default_command, *args]
        return list(super().parse_args(ctx, args))
