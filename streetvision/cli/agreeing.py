"""Before anything is sent that costs: the operator sees the sum and agrees."""

from __future__ import annotations

import sys

import typer

from streetvision.errors import OperatorError


def agree(cost: str, *, yes: bool) -> None:
    """Tell the cost on stderr and ask; OperatorError unless the operator agrees, with `yes` beforehand."""
    typer.echo(cost, err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorError("nothing was sent, as nobody is here to agree to the cost: say --yes")
    if not typer.confirm("Send?", err=True):
        raise OperatorError("nothing was sent")
