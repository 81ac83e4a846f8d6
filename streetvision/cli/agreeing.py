"""Before anything is sent that costs: the operator sees the sum and agrees."""

from __future__ import annotations

import sys

import typer

from streetvision.errors import OperatorError


def agree(cost: str, *, yes: bool, question: str = "Send?", undone: str = "nothing was sent") -> None:
    """Tell the cost on stderr and ask; OperatorError unless the operator agrees, with `yes` beforehand."""
    typer.echo(cost, err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorError(f"{undone}, as nobody is here to agree to the cost: say --yes")
    if not typer.confirm(question, err=True):
        raise OperatorError(undone)
