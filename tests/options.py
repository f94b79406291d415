"""The mark with which a test names the options it covers, and the check that it covers them.

``@pytest.mark.covers("score --prefix")`` names an option, ``score-parquet:prefix`` the parameter of
a flow. ``pytest --without-options`` runs the marked tests once for each name without that option:
all of them must fail.
"""

from __future__ import annotations

import ast
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click import Parameter

TESTS = Path(__file__).parent


def covered() -> set[str]:
    """Return every name in a mark of a test."""
    return {
        ast.literal_eval(name)
        for file in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.covers"
        for name in node.args
    }


def option_name(command: Sequence[str], parameter: Any) -> str:
    """Return the name that marks use for an option, or for an argument with a default."""
    option = parameter.param_type_name == "option"
    return " ".join([*command, parameter.opts[0] if option else parameter.name.upper()])


def options_of(command: Any, names: Sequence[str] = ()) -> Iterator[str]:
    """Yield the names of all options and optional arguments of a command and its subcommands."""
    for parameter in command.params:
        if not parameter.required:
            yield option_name(names, parameter)
    for name, below in getattr(command, "commands", {}).items():
        yield from options_of(below, (*names, name))


def names_of(context: Any) -> list[str]:
    """Return the names of a running command and its groups, without the program's."""
    return [] if context.parent is None else [*names_of(context.parent), context.info_name]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without-options",
        action="store_true",
        help="run each test without the option that it covers; it must fail",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "covers(name, ...): the options that this test covers")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--without-options"):
        items[:] = [item for item in items if item.get_closest_marker("covers")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.config.getoption("--without-options"):
        names = [name for mark in metafunc.definition.iter_markers("covers") for name in mark.args]
        if names:
            metafunc.parametrize("without_option", names, indirect=True)


@pytest.fixture(autouse=True)
def without_option(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a name as its parameter, run commands and flows as if that option were not given."""
    name = getattr(request, "param", None)
    if name is None:
        return
    # Without its option, a test might use the user's own registry.
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if ":" in name:
        _leave_out_parameter(name, monkeypatch)
        return
    consume_value = Parameter.consume_value

    def consume_others(self: Any, ctx: Any, opts: Mapping[str, Any]) -> Any:
        left_out = option_name(names_of(ctx), self) == name
        return consume_value(self, ctx, {} if left_out else opts)

    monkeypatch.setattr(Parameter, "consume_value", consume_others)


def _leave_out_parameter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect import Flow

    call: Any = Flow.__call__

    def without(self: Any, *arguments: Any, **parameters: Any) -> Any:
        for parameter in list(parameters):
            if f"{self.name}:{parameter}" == name:
                del parameters[parameter]
        return call(self, *arguments, **parameters)

    monkeypatch.setattr(Flow, "__call__", without)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    if not pyfuncitem.config.getoption("--without-options"):
        return (yield)
    try:
        yield
    except (Exception, pytest.fail.Exception):
        return True
    pytest.fail(f"it passes without {pyfuncitem.callspec.params['without_option']}", pytrace=False)
