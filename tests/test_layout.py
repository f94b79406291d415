"""The layout of code and tests; import-linter checks which package imports which."""

from __future__ import annotations

import ast
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import imdb_classifier

PACKAGE = Path(imdb_classifier.__file__).parent
TESTS = Path(__file__).parent
FOLDERS = sorted(file.parent for file in PACKAGE.rglob("__init__.py"))
MODULES = sorted(file for file in PACKAGE.rglob("*.py") if not file.stem.startswith("__"))
MOST_MODULES = 8
MOST_LINES = 400
OTHER_LOGGERS = {
    # What all loggers of the package write goes where these say.
    "imdb_classifier/cli/console.py": ["'imdb_classifier'"] * 2,
    "imdb_classifier/tasks/events.py": ["'imdb_classifier'"],
    # Another package's lines are dropped.
    "imdb_classifier/cli/program.py": ["'matplotlib'"],
}


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


def modules(folder: Path) -> set[str]:
    return {file.stem for file in folder.glob("*.py") if not file.stem.startswith("__")}


def children(folder: Path) -> set[str]:
    """The modules and packages of a folder."""
    return modules(folder) | {file.parent.name for file in folder.glob("*/__init__.py")}


def bound_names(file: Path) -> Iterator[str]:
    """Yield the names that a module binds at its top level."""
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_no_folder_holds_more_than_eight_modules(folder: Path) -> None:
    assert len(modules(folder)) <= MOST_MODULES


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_no_module_is_long(module: Path) -> None:
    assert len(module.read_text("utf-8").splitlines()) <= MOST_LINES


def test_no_two_modules_have_one_name() -> None:
    counts = Counter(module.stem for module in MODULES)
    assert [name for name, count in counts.items() if count > 1] == []


def test_no_two_public_constants_have_one_name() -> None:
    counts = Counter(
        target.id
        for module in MODULES
        for node in ast.parse(module.read_text("utf-8")).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id.isupper() and target.id[0] != "_"
    )
    assert counts["EXIT_DONE"] == 1
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_module_logs_under_its_own_name() -> None:
    found: dict[str, list[str]] = {}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("getLogger"):
                found.setdefault(named(file), []).append(", ".join(map(ast.unparse, node.args)))
    assert len(found) > len(OTHER_LOGGERS)
    assert {file: names for file, names in found.items() if {*names} != {"__name__"}} == (
        OTHER_LOGGERS
    )


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_no_name_hides_a_submodule(folder: Path) -> None:
    assert not {*bound_names(folder / "__init__.py")} & children(folder)


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_no_name_hides_a_module_beside_it(module: Path) -> None:
    tree = ast.parse(module.read_text("utf-8"))
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert not own & children(module.parent)


def test_tests_mirror_the_rooms() -> None:
    rooms = {folder.name for folder in FOLDERS if folder.parent == PACKAGE}
    found = {path.name for path in TESTS.iterdir() if any(path.glob("test_*.py"))}
    # The tests of the flows test both.
    assert rooms - found == {"operations", "tasks"}
    assert found - rooms == {"docs", "faults", "imdb", "ui"}


def test_the_tests_of_a_file_run_in_one_process(request: pytest.FixtureRequest) -> None:
    """So that what they share is made once, and there is one Prefect server."""
    of_several = "PYTEST_XDIST_WORKER" in os.environ
    assert request.node.nodeid.endswith(f"@{__file__}") == of_several
