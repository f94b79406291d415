"""Terminal output: results on standard output, progress and messages on standard error."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, wraps
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TextIO, TypeVar

from imdb_classifier.errors import CannotWriteError, printable
from imdb_classifier.progress import Pace, Progress, rate

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Options = ParamSpec("Options")
Result = TypeVar("Result")

LINE_SECONDS: Final = 60.0
"""Time between two lines of progress where standard error is not a terminal."""
_UNFOLDED: Final = 10_000
"""Width of output to files and programs, which would not find the halves of a folded id."""


class Terminal:
    """Standard output or standard error; tables, and text on a terminal, are printed by Rich."""

    def __init__(self, *, stderr: bool = False) -> None:
        self._stderr = stderr

    @cached_property
    def console(self) -> Console:
        """Rich's console, for progress."""
        from rich.console import Console

        # File and column names come from users, and Rich must not interpret them as markup.
        console = Console(stderr=self._stderr, markup=False, emoji=False, highlight=False)
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.width = _UNFOLDED
        return console

    def print(self, shown: str | Table, **options: Any) -> None:
        """Print a table, or a text in which control characters are escaped.

        Work does not fail because nobody can be told of it: an error of standard error is ignored.
        """
        try:
            self._print(shown, **options)
        except OSError:
            if not self._stderr:
                raise
            drop_unwritable(sys.stderr)

    def _print(self, shown: str | Table, **options: Any) -> None:
        stream = sys.stderr if self._stderr else sys.stdout
        if isinstance(shown, str) and not stream.isatty():
            # Without Rich: an error that there is no memory left must not need much.
            print(_harmless(shown), file=stream, flush=True)
            return
        if isinstance(shown, str):
            self.console.print(_harmless(shown), **options)
            return
        from rich.cells import cell_len

        if shown.title:
            # Rich would fold it to the width of the table.
            self.console.print(shown.title, style="bold", soft_wrap=True)
            shown.title = None
        for column in shown.columns:
            if column.no_wrap:
                # Rich would cut it to the width of a narrower terminal.
                cells = (column.header, *column.cells)
                column.min_width = max(cell_len(str(cell)) for cell in cells)
        self.console.print(shown, crop=False, **options)


_IDS: Final = frozenset({"id", "champion", "previous"})
"""Columns of tables that hold ids."""

out: Final = Terminal()
err: Final = Terminal(stderr=True)


def _harmless(text: str) -> str:
    """Escape what could control a terminal, but for line feeds."""
    return "\n".join(map(printable, text.split("\n")))


_OPTIONS: Final[Mapping[str, str]] = {
    "source": "INPUT",
    "output": "OUTPUT",
    "gates": "--gate",
    "drift_limits": "--drift-limit",
}
"""Parameters that the command line calls otherwise than by their names."""


def prepare_streams() -> None:
    """Let standard output and error take any text, and be closed, as under some schedulers.

    What they cannot encode is escaped: in a locale without UTF-8, most names of files that are not
    in English.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_unwritable(stream: TextIO) -> None:
    """Write no more to a stream that cannot be written, nor what it holds when Python ends."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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


_LOG: Final = _Log()


def show_log(level: int = logging.INFO) -> None:
    """Send the library's log lines from a level on to standard error, and progress with INFO."""
    library = logging.getLogger("imdb_classifier")
    library.addHandler(_LOG)
    _LOG.setLevel(level)
    # Other handlers want INFO: Prefect's sends the lines to the log of the flow run.
    library.setLevel(min(level, logging.INFO))


def hide_log() -> None:
    """Leave the library's log lines to Prefect, which also prints those of its runs."""
    logging.getLogger("imdb_classifier").removeHandler(_LOG)


def say(message: str) -> None:
    """Print to standard error what is neither a result nor a warning."""
    if _LOG.level <= logging.INFO:
        err.print(message, soft_wrap=True)


@contextmanager
def cancel_on_interrupt() -> Iterator[Event]:
    """Provide an event that Ctrl-C sets; a second Ctrl-C interrupts at once."""
    cancel = Event()

    def interrupted(*_: object) -> None:
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield cancel  # ignored, as in a background job of a shell
        return
    signal.signal(signal.SIGINT, interrupted)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def show(as_json: bool, values: Mapping[str, Any], shown: Table | str) -> None:
    """Print a command's result to standard output, as one JSON object or as people read it.

    Args:
        as_json: Whether it is printed as JSON.
        values: The object: JSON values, and objects whose ``to_dict`` returns them.
        shown: What people read.
    """
    try:
        if as_json:
            # In pieces, because there may be a million files.
            encoder = json.JSONEncoder(allow_nan=False, default=lambda value: value.to_dict())
            sys.stdout.writelines(encoder.iterencode(values))
            print()
        else:
            out.print(shown)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # Nobody reads on, as with `| head`.
    except OSError as error:
        raise CannotWriteError(
            "Standard output must be writable.",
            f"Writing to it failed: {error.strerror}.",
            "The command has finished, and files are as it should leave them. To see its result, "
            "redirect standard output elsewhere and rerun.",
        ) from error


def keeps(what: str) -> Callable[[Callable[Options, Result]], Callable[Options, Result]]:
    """Let a command end on SIGTERM as on Ctrl-C, and say what it keeps if it is interrupted."""

    def decorated(command: Callable[Options, Result]) -> Callable[Options, Result]:
        @wraps(command)
        def interruptible(*args: Options.args, **kwargs: Options.kwargs) -> Result:
            before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
            try:
                return command(*args, **kwargs)
            except (KeyboardInterrupt, SystemExit):
                err.print(f"Interrupted. {what}", soft_wrap=True)
                raise
            finally:
                signal.signal(signal.SIGTERM, before)

        return interruptible

    return decorated


def table(title: str, *columns: str) -> Table:
    """Return an empty table; columns whose name starts with ``#`` hold numbers.

    Ids are not folded, however narrow the terminal is.
    """
    from rich.table import Table

    class HarmlessTable(Table):
        def add_row(self, *cells: Any, **options: Any) -> None:
            super().add_row(*map(_harmless, cells), **options)

    result = HarmlessTable(title=_harmless(title))
    for column in columns:
        number = column.startswith("#")
        result.add_column(
            column.removeprefix("#"),
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=column in _IDS,
        )
    return result


@contextmanager
def waiting(what: str) -> Iterator[Callable[[], None]]:
    """Show on a terminal what a command is doing; call what this yields when it is done."""
    if not err.console.is_terminal:
        yield lambda: None
        return
    with err.console.status(what) as shown:
        yield shown.stop


class _Lines:
    """Progress as lines, one now and then, where there is no terminal for a bar."""

    def __init__(self) -> None:
        self._stage = ""
        self._pace = Pace()
        self._next_line = time.monotonic() + LINE_SECONDS

    def __call__(self, what: str, done: int, total: int) -> None:
        if what != self._stage:
            self._stage, self._pace = what, Pace()
        pace = self._pace.words(done, total)
        now = time.monotonic()
        if now >= self._next_line:
            self._next_line = now + LINE_SECONDS
            say(f"{done:,} of {total:,} {what}{pace}")


@contextmanager
def stage_progress() -> Iterator[Progress]:
    """Show the progress of one stage after the other; call what this yields.

    On a terminal as a bar, elsewhere as a line every `LINE_SECONDS`.
    """
    if not err.console.is_terminal:
        yield _Lines()
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as ProgressBars
    from rich.text import Text

    class Rate(ProgressColumn):
        """What is done in a second, or in a minute if that is less than one."""

        def render(self, task: Task) -> Text:
            return Text(rate(task.speed or 0.0))

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description},"),
        Rate(),
        TimeRemainingColumn(),
    )
    is_quiet = _LOG.level > logging.INFO
    with ProgressBars(*columns, console=err.console, transient=True, disable=is_quiet) as progress:
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


def points(difference: dict[str, float]) -> str:
    """Format a difference of shares, in percentage points, with its 95 % interval."""
    value, low, high = (f"{100 * difference[name]:+.2f}" for name in ("value", "low", "high"))
    return f"{value}  [{low}, {high}]"
