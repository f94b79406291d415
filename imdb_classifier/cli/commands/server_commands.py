"""The commands `serve`, `automate` and `undeploy`, which change what is on a Prefect server."""

from __future__ import annotations

from collections import Counter

import click

from imdb_classifier.cli.commands.shared_options import as_json_option
from imdb_classifier.cli.console import show, table
from imdb_classifier.errors import counted


@click.command
@click.option(
    "--source",
    type=click.Path(),
    help="Parquet files to score every night. Default: as in prefect.yaml.",
)
@click.option(
    "--output", type=click.Path(), help="Folder for the scored files. Default: as in prefect.yaml."
)
@click.option(
    "--cron",
    help='When to score, in UTC, e.g. "30 1 * * *" for 1:30. Default: as in prefect.yaml.',
)
def serve(source: str | None, output: str | None, cron: str | None) -> None:
    """Retrain every week and score every night until stopped."""
    from imdb_classifier.cli.flow_calls import serve as serve_deployments

    serve_deployments(source, output, cron)


@click.command
@click.option(
    "--notify",
    metavar="URL",
    envvar="IMDB_CLASSIFIER_NOTIFY",
    show_envvar=True,
    help="Webhook of Slack or another chat, which gets a message when a run fails, "
    "crashes, is late or does not promote its model, and when input drift is detected. "
    "Default: the one given before, if any.",
)
@as_json_option
def automate(notify: str | None, as_json: bool) -> None:
    """Mark dead runs as crashed, and send notifications; repeat to update.

    Creates or updates automations on the Prefect server.
    """
    import imdb_classifier.tasks  # noqa: F401 - its error names the missing package
    from imdb_classifier.operations.automations import automate as apply

    if notify is not None and not notify.startswith(("http://", "https://")):
        raise click.BadParameter("--notify must be a URL that starts with http:// or https://.")
    changes = apply(notify)
    shown = table("Automations", "name", "change")
    for change in changes:
        shown.add_row(change["name"], change["change"])
    show(as_json, {"automations": changes}, shown)


@click.command
@click.option("--dry-run", is_flag=True, help="List what would be removed, and remove nothing.")
@as_json_option
def undeploy(dry_run: bool, as_json: bool) -> None:
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
