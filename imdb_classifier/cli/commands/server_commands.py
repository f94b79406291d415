"""The commands `serve`, `automate` and `undeploy`, which change what is on a Prefect server."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from imdb_classifier.cli.commands.shared_options import AsJson
from imdb_classifier.cli.console import show, table
from imdb_classifier.errors import counted


def serve(
    source: Annotated[
        str | None,
        typer.Option(help="Parquet files to score every night. Default: as in prefect.yaml."),
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="Folder for the scored files. Default: as in prefect.yaml.")
    ] = None,
    cron: Annotated[
        str | None,
        typer.Option(
            help='When to score, in UTC, e.g. "30 1 * * *" for 1:30. Default: as in prefect.yaml.'
        ),
    ] = None,
) -> None:
    """Retrain every week and score every night until stopped."""
    from imdb_classifier.cli.commands.flow_commands import serve as serve_deployments

    serve_deployments(source, output, cron)


def automate(
    notify: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="IMDB_CLASSIFIER_NOTIFY",
            help="Webhook of Slack or another chat, which gets a message when a run fails, "
            "crashes, is late or does not promote its model, and when input drift is detected. "
            "Default: the one given before, if any.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Mark dead runs as crashed, and send notifications; repeat to update.

    Creates or updates automations on the Prefect server.
    """
    import imdb_classifier.tasks  # noqa: F401 - its error names the missing package
    from imdb_classifier.operations.automations import automate as apply

    if notify is not None and not notify.startswith(("http://", "https://")):
        raise typer.BadParameter("--notify must be a URL that starts with http:// or https://.")
    changes = apply(notify)
    shown = table("Automations", "name", "change")
    for change in changes:
        shown.add_row(change["name"], change["change"])
    show(as_json, {"automations": changes}, shown)


def undeploy(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove deployments and automations from the Prefect server.

    Removes what `serve`, `prefect deploy` and `automate` created, under the names in prefect.yaml
    and automations.yaml. Flow runs, artifacts and work pools stay.
    """
    import imdb_classifier.tasks  # noqa: F401 - its error names the missing package
    from imdb_classifier.operations.removal import undeploy as remove

    removed = remove(dry_run=dry_run)
    counts = Counter(deployed.kind for deployed in removed)
    what = ", ".join(counted(count, kind) for kind, count in counts.items())
    shown = table(f"{'Would be removed' if dry_run else 'Removed'}: {what}", "kind", "name")
    for deployed in removed:
        shown.add_row(deployed.kind, deployed.name)
    names = [{"kind": deployed.kind, "name": deployed.name} for deployed in removed]
    show(as_json, {"removed": names}, shown if removed else "Nothing to remove.")
