"""Terminal output: results on standard output, progress and messages on standard error."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

# File and column names come from users, and Rich must not interpret them as markup.
_PLAIN: Final[Mapping[str, Any]] = {"markup": False, "emoji": False, "highlight": False}
out: Final = Console(**_PLAIN)
err: Final = Console(stderr=True, **_PLAIN)


_OPTIONS: Final[Mapping[str, str]] = {
    "source": "INPUT",
    "output": "OUTPUT",
    "gates": "--gate",
    "drift_limits": "--drift-limit",
}
"""Parameters that the command line calls otherwise than by their names."""


def accept_any_text() -> None:
    """Escape what standard output and error cannot encode, instead of failing.

    In a locale without UTF-8, that is most names of files that are not in English.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def with_options(message: str) -> str:
    """Return an error's message with its parameters as options of the command line.

    Example:
        >>> with_options("Use `only=new`, or another `max_bad_files`.")
        'Use --only new, or another --max-bad-files.'
    """

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        return _OPTIONS.get(name, f"--{name.replace('_', '-')}") + (f" {value}" if value else "")

    return re.sub(r"`([a-z_]+)(?:=([^`]+))?`", option, message)


class _Log(logging.Handler):
    """Prints log lines to standard error, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        err.print(record.getMessage(), soft_wrap=True)


def show_log() -> None:
    """Send the library's log lines to standard error."""
    hide_log()
    logger = logging.getLogger("imdb_classifier")
    logger.addHandler(_Log())
    logger.setLevel(logging.INFO)


def hide_log() -> None:
    """Leave the library's log lines to Prefect, which also prints those of its runs."""
    logger = logging.getLogger("imdb_classifier")
    logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, _Log)]


def show(as_json: bool, values: Mapping[str, Any], shown: Table | str) -> None:
    """Print a command's result to standard output, as one JSON object or as people read it."""
    if as_json:
        print(json.dumps(values, allow_nan=False))
    else:
        out.print(shown)


def table(title: str, *columns: str) -> Table:
    """Return an empty table; columns whose name starts with ``#`` hold numbers."""
    result = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        number = column.startswith("#")
        result.add_column(
            column.removeprefix("#"), justify="right" if number else "left", overflow="fold"
        )
    return result


@contextmanager
def row_progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal; call what this yields with the rows done since."""
    columns = (
        TextColumn("scoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda rows: progress.advance(task, rows)


class _Rate(ProgressColumn):
    """What is done in a second, or in a minute if that is less than one."""

    def render(self, task: Task) -> Text:
        speed = task.speed or 0.0
        return Text(f"{speed:,.0f} a second" if speed >= 1 else f"{60 * speed:.1f} a minute")


@contextmanager
def stage_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar for one stage after the other; call what this yields as `loop.Progress`.

    Shown on a terminal only.
    """
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description},"),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        stages: dict[str, TaskID] = {}

        def advanced(what: str, done: int, total: int) -> None:
            if what not in stages:
                progress.refresh()
                for stage in stages.values():
                    progress.remove_task(stage)
                stages.clear()
                stages[what] = progress.add_task(what, total=total, completed=done)
            progress.update(stages[what], completed=done)

        yield advanced


def interval(figure: dict[str, float]) -> str:
    """Format a figure with its 95 % interval."""
    return f"{figure['value']:.4f}  [{figure['low']:.4f}, {figure['high']:.4f}]"
