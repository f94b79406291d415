"""All commands: results go to standard output, everything else to standard error."""

from __future__ import annotations

import logging
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
from imdb_classifier.cli.console import show_log
from imdb_classifier.version import __version__


class _Group(TyperGroup):
    """Lists its commands with whole summaries, which by default are cut to one line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, found.get_short_help_str(1_000)) for name, found in self.commands.items()]
            )


class _App(_Group):
    """Takes the options of all commands after the command's name, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        common = [arg for arg in args[:end] if arg in _COMMON]
        others = [arg for arg in args[:end] if arg not in _COMMON]
        return super().parse_args(ctx, [*common, *others, *args[end:]])


_COMMON: Final = frozenset({"-q", "--quiet", "-v", "--verbose"})


app = typer.Typer(
    cls=_App,
    name="imdb-classifier",
    help="Sentiment labels and probabilities for Parquet files of review text.",
    no_args_is_help=True,
    # Rich takes longer to load than everything else, and leaves the help texts narrow columns.
    rich_markup_mode=None,
    # Typer's own tracebacks would print local variables, which may contain review text.
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
app.add_typer(models_app, name="models", cls=_Group)
app.add_typer(data_app, name="data", cls=_Group)


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
