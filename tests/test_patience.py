"""Tests pass on a slow and busy machine: they wait as long as `PATIENCE_SECONDS` allows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from hypothesis import settings

TESTS = Path(__file__).parent
WAITING = {"join", "result", "wait"}


def limits() -> Iterator[str]:
    """Yield the calls with a limit of their own to how long something may take."""
    for file in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                named = [k.value for k in node.keywords if k.arg and k.arg.endswith("timeout")]
                method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                given = [*named, *(node.args if method in WAITING else ())]
                numbers = [v.value for v in given if isinstance(v, ast.Constant)]
                if any(isinstance(number, int | float) and number >= 1 for number in numbers):
                    yield f"{file.relative_to(TESTS)}: {ast.unparse(node)}"


def test_no_test_waits_with_less_patience() -> None:
    assert [*limits()] == []


def test_no_example_of_hypothesis_has_a_deadline() -> None:
    assert settings.default is not None
    assert settings.default.deadline is None
    calls = (
        node
        for file in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "settings"
    )
    given = [ast.unparse(k.value) for call in calls for k in call.keywords if k.arg == "deadline"]
    assert {*given} <= {"None"}
