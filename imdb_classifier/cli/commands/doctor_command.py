"""The command `doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from imdb_classifier.cli.commands.shared_options import (
    AsJson,
    EngineOption,
    ModelOption,
    RegistryOption,
)
from imdb_classifier.cli.console import show, table, waiting, with_options
from imdb_classifier.registry.access import CHAMPION


def doctor(
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT", help="Folder for scored files; local or in an object store."
        ),
    ] = ".",
    model: ModelOption = CHAMPION,
    engine: EngineOption = "auto",
    registry: RegistryOption = None,
    as_json: AsJson = False,
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
    raise typer.Exit(diagnosis.exit_code)
