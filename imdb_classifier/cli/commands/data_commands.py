"""The commands `data` and `data fetch`, which locate and download the IMDB reviews."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

import click

from imdb_classifier.cli.commands.shared_options import as_json_option
from imdb_classifier.cli.console import show, table
from imdb_classifier.cli.groups import SummaryGroup


@click.group("data", cls=SummaryGroup, invoke_without_command=True)
@as_json_option
@click.pass_context
def data_group(context: click.Context, as_json: bool) -> None:
    """Show available copies of the IMDB reviews, and download them."""
    if context.invoked_subcommand is not None:
        return
    from imdb_classifier.reviews.sources import describe_sources

    sources = describe_sources()
    shown = table("IMDB reviews", "source", "state", "#size", "location")
    for source in sources:
        size = "" if source.size is None else f"{source.size / 1e6:,.1f} MB"
        shown.add_row(source.source, source.state, size, source.location)
    show(as_json, {"sources": [asdict(source) for source in sources]}, shown)


@data_group.command()
@click.argument(
    "source",
    type=click.Choice(["aclimdb", "keras"]),
    metavar="[SOURCE]",
    default="aclimdb",
    help="Which published copy to download: aclimdb or keras. Default: aclimdb.",
)
@as_json_option
def fetch(source: Literal["aclimdb", "keras"], as_json: bool) -> None:
    """Download a published copy of the IMDB reviews into the cache and verify its checksum."""
    from imdb_classifier.reviews.download import fetch as fetch_source

    path = fetch_source(source)
    shown = table("Downloaded", "source", "location")
    shown.add_row(source, str(path))
    show(as_json, {"source": source, "path": str(path)}, shown)
