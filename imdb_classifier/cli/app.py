"""All commands: results go to standard output, everything else to standard error."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import click

from imdb_classifier.cli.commands.batch_commands import plan, sample, score, verify
from imdb_classifier.cli.commands.data_commands import data_group
from imdb_classifier.cli.commands.doctor_command import doctor
from imdb_classifier.cli.commands.explain_command import explain
from imdb_classifier.cli.commands.model_commands import models_group
from imdb_classifier.cli.commands.server_commands import automate, serve, undeploy
from imdb_classifier.cli.commands.training_commands import adapt, evaluate, train
from imdb_classifier.cli.console import show_log
from imdb_classifier.cli.groups import ProgramGroup
from imdb_classifier.version import __version__


@click.group(
    cls=ProgramGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, message="%(version)s", help="Print the version.")
@click.option(
    "--quiet", "-q", is_flag=True, help="Print no progress, only results, warnings and errors."
)
@click.option("--verbose", "-v", is_flag=True, help="Also print what happens to each file.")
def root_command(quiet: bool, verbose: bool) -> None:
    """Sentiment labels and probabilities for Parquet files of review text."""
    show_log(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)


@click.command("quickstart")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("quickstart"),
    help="Folder for the registry, the report and the scored files.",
)
def run_quickstart(folder: Path) -> None:
    """Try every step once: train, evaluate and score, on the IMDB reviews or on a sample."""
    from imdb_classifier.cli.quickstart import run

    run(folder)


_COMMANDS: Final = (
    *(train, adapt, evaluate, score, explain, plan, verify, sample),
    *(doctor, serve, automate, undeploy, run_quickstart, models_group, data_group),
)
for command in _COMMANDS:
    root_command.add_command(command)
