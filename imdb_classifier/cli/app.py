"""The command line: results go to standard output, everything else to standard error."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from imdb_classifier.cli.commands.batch_commands import plan, sample, score, verify
from imdb_classifier.cli.commands.data_commands import data_app
from imdb_classifier.cli.commands.doctor_command import doctor
from imdb_classifier.cli.commands.model_commands import models_app
from imdb_classifier.cli.commands.server_commands import automate, serve, undeploy
from imdb_classifier.cli.commands.training_commands import adapt, evaluate, explain, train
from imdb_classifier.cli.console import accept_any_text, err, show, show_log, with_options
from imdb_classifier.errors import (
    CannotWriteError,
    UnexpectedError,
    UnsupportedPackageError,
    described,
)
from imdb_classifier.system_errors import known_error
from imdb_classifier.version import __version__


class _App(TyperGroup):
    """Takes the options of all commands after the command's name, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        common = [arg for arg in args[:end] if arg in _COMMON]
        others = [arg for arg in args[:end] if arg not in _COMMON]
        return super().parse_args(ctx, [*common, *others, *args[end:]])


_COMMON: Final = frozenset({"-q", "--quiet", "-v", "--verbose"})


# Typer's own tracebacks would print local variables, which may contain review text.
app = typer.Typer(
    cls=_App,
    name="imdb-classifier",
    help="Sentiment labels and probabilities for Parquet files of review text.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class _FromInputToOutput(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True
        if extra := super().parse_args(ctx, args):
            ctx.fail(
                f"Expected one INPUT and one OUTPUT, but received {2 + len(extra)} arguments. "
                "Quote a pattern such as '*.parquet', so that the shell does not expand it."
            )
        return extra


_COMMANDS: Final = (
    *(train, adapt, evaluate, score, explain, plan, verify, sample),
    *(doctor, serve, automate, undeploy),
)
for command in _COMMANDS:
    app.command(cls=_FromInputToOutput if command in (score, plan) else None)(command)
app.add_typer(models_app, name="models")
app.add_typer(data_app, name="data")


def main() -> None:
    """Run a command; print an error, and exit with its code."""
    accept_any_text()
    # Prefect would say so a dozen times; where it matters, an error does, once.
    warnings.filterwarnings("ignore", "Failed to create the Prefect home directory", UserWarning)
    try:
        _command_line()()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        known = known_error(error)
        if isinstance(known, UnexpectedError):
            # Most messages are left out, because they may quote a review.
            frames = "".join(traceback.format_tb(error.__traceback__))
            err.print(f"{frames}Unexpected error: {described(error)}")
            sys.exit(known.exit_code)
        if "--json" in sys.argv:
            with suppress(CannotWriteError):
                show(True, {"error": str(known), "exit_code": known.exit_code}, "")
        err.print(f"Error: {with_options(str(known))}", style="red", soft_wrap=True)
        sys.exit(known.exit_code)


def _command_line() -> Callable[[], object]:
    """Return the app as one callable command."""
    try:
        # No review has been read yet, so the error's message cannot quote one.
        return typer.main.get_command(app)
    except Exception as error:
        raise UnsupportedPackageError("typer", error) from error


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print no progress, only results, warnings and errors."),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also print what happens to each file.")
    ] = False,
) -> None:
    show_log(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)


@app.command("quickstart")
def run_quickstart(
    folder: Annotated[
        Path, typer.Option(help="Folder for the registry, the report and the scored files.")
    ] = Path("quickstart"),
) -> None:
    """Try every step once: train, evaluate and score, on the IMDB reviews or on a sample."""
    from imdb_classifier.cli.quickstart import run

    run(folder)
