"""What a person is told of a failure of the system: words, never an error number."""

from __future__ import annotations

import ast
import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from streetvision.errors import reason

ROOT = Path(__file__).parents[1]
SYSTEM = {
    *("OSError", "IOError", "FileNotFoundError", "PermissionError", "NotADirectoryError", "IsADirectoryError"),
    *("ConnectionError", "ConnectionRefusedError", "BlockingIOError", "FileExistsError", "InterruptedError"),
}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), "no such file or directory"),
        (OSError(errno.EIO, "I/O error"), "I/O error"),
        (OSError("cannot identify the file\nmore"), "cannot identify the file"),
        (OSError(), "OSError"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "it is not a text file"),
        (ValueError("no good"), "no good"),
    ],
)
def test_reasons_are_clauses(error: Exception, words: str) -> None:
    assert reason(error) == words


def shown_raw(tree: ast.AST) -> Iterator[int]:
    """Lines that show an error of the system as Python writes it: `[Errno 2] No such file or directory: ...`."""
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or handler.name is None or handler.type is None:
            continue
        caught = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        if caught & SYSTEM:
            body = (node for node in ast.walk(handler) if isinstance(node, ast.expr))
            yield from (node.lineno for node in body if shows(node, handler.name))


def shows(node: ast.AST, name: str) -> bool:
    """Whether an expression puts the error's own text in a string or a log line."""
    if isinstance(node, ast.FormattedValue):
        return isinstance(node.value, ast.Name) and node.value.id == name
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    written = (isinstance(function, ast.Name) and function.id == "str") or (
        isinstance(function, ast.Attribute) and getattr(function.value, "id", "") == "logger"
    )
    return written and any(isinstance(argument, ast.Name) and argument.id == name for argument in node.args)


def test_no_error_of_the_system_is_shown_raw() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "streetvision").rglob("*.py"))
        for line in shown_raw(ast.parse(path.read_text()))
    ]
    assert found == []


def test_the_search_for_raw_errors_finds_them() -> None:
    body = 'y(f"{error}")\n    logger.error("%s", error)\n    str(error)\n    y(error)'
    code = f"try: x()\nexcept (OSError, ValueError) as error:\n    {body}"
    assert sorted(shown_raw(ast.parse(code))) == [3, 4, 5]
