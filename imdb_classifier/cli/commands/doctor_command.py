"""The command `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from imdb_classifier.cli.commands.shared_options import (
    as_json_option,
    engine_option,
    model_option,
    registry_option,
)
from imdb_classifier.cli.console import show, table, waiting, with_options

if TYPE_CHECKING:
    from imdb_classifier.model.engines import EngineChoice


@click.command
@click.argument(
    "output",
    metavar="[OUTPUT]",
    type=click.Path(),
    default=".",
    help="Folder for scored files; local or in an object store. Default: the current folder.",
)
@model_option
@engine_option
@registry_option
@as_json_option
def doctor(
    output: str, model: str, engine: EngineChoice, registry: str | None, as_json: bool
) -> None:
    """Check packages, CPU quota, engine, model, OUTPUT and Prefect server; say what to do.

    Exit code 0, or that of the first fault. Leaves nothing behind.
    """
    from imdb_classifier.diagnosis.checks import all_checks
    from imdb_classifier.diagnosis.checkup import Diagnosis, Finding
    from imdb_classifier.registry.versions import Registry
    from imdb_classifier.storage.paths import location_of

    checks = all_checks(location_of(output), model, Registry.at(registry), engine)
    with waiting("checking"):
        diagnosis = Diagnosis(tuple(Finding.of(*named) for named in checks.items()))
    faults = sum(found.status == "fault" for found in diagnosis.findings)
    shown = table("Faults found" if faults else "No faults found", "check", "status", "found")
    for found in diagnosis.findings:
        shown.add_row(found.check, found.status, with_options(found.message))
    show(as_json, diagnosis.to_dict(), shown)
    raise Exit(diagnosis.exit_code)
