"""The commands `models list`, `show`, `promote` and `prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click
from click.exceptions import Exit

from imdb_classifier.cli.commands.shared_options import (
    as_json_option,
    data_option,
    gate_on_option,
    label_map_option,
    named_limit,
    named_meanings,
    named_paths,
    registry_option,
)
from imdb_classifier.cli.console import err, interval, show, stage_progress, table
from imdb_classifier.cli.groups import SummaryGroup
from imdb_classifier.errors import EXIT_REFUSED, counted, listed
from imdb_classifier.schema import TEXT

if TYPE_CHECKING:
    from imdb_classifier.model.bundle import Bundle
    from imdb_classifier.registry.versions import Registry


@click.group("models", cls=SummaryGroup, no_args_is_help=True)
def models_group() -> None:
    """List, show, promote and prune models."""


@models_group.command("list")
@registry_option
@as_json_option
def list_models(registry: str | None, as_json: bool) -> None:
    """List the versions of the registry, and the bundled model."""
    from imdb_classifier.registry.versions import Registry

    where = Registry.at(registry)
    intact, damaged = where.bundles()
    rows = [_describe(bundle, where) for bundle in intact]
    rows += [
        {
            "id": name,
            "aliases": where.aliases_of(name),
            "recipe": None,
            "accuracy": None,
            "created_at": None,
            "undecided": False,
            "damaged": what,
        }
        for name, what in damaged.items()
    ]
    shown = table(f"Models in {where.root}", "id", "alias", "recipe", "#accuracy", "trained (UTC)")
    for row in rows:
        aliases = " ".join(f"@{alias}" for alias in row["aliases"])
        accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.2%}"
        trained = _minute(row["created_at"] or "")
        shown.add_row(row["id"], aliases, row["recipe"] or "damaged", accuracy, trained)
    show(as_json, {"registry": where.root, "models": rows}, shown)
    for name, what in damaged.items():
        err.print(f"Warning: {name} is damaged. {what}", style="yellow", soft_wrap=True)
    if undecided := [row["id"] for row in rows if row["undecided"]]:
        err.print(
            f"Without a promotion decision: {listed(undecided)}. Decide with "
            "`imdb-classifier models promote MODEL`.",
            soft_wrap=True,
        )


@models_group.command("show")
@click.argument("model", metavar="MODEL", help="@alias, a version's id, or a bundle's path.")
@registry_option
@as_json_option
def show_model(model: str, registry: str | None, as_json: bool) -> None:
    """Show how a model was trained and the results of its evaluation."""
    from imdb_classifier.registry.versions import Registry

    where = Registry.at(registry)
    bundle = where.load(model)
    values = _describe(bundle, where) | {
        "path": bundle.location,
        "manifest": {k: v for k, v in bundle.manifest.items() if k != "golden"},
        "evaluation": bundle.evaluation,
    }
    shown = table(bundle.model_id, "property", "value")
    data = bundle.manifest["data"]
    shown.add_row("alias", " ".join(f"@{alias}" for alias in values["aliases"]))
    shown.add_row("recipe", f"{bundle.recipe.name}, seed {bundle.manifest['seed']}")
    shown.add_row("trained on", f"{data['rows']:,} reviews ({data['source']})")
    shown.add_row("trained (UTC)", _minute(values["created_at"]))
    for name, figure in (bundle.evaluation or {}).get("figures", {}).items():
        shown.add_row(name.replace("_", " "), interval(figure))
    shown.add_row("folder", bundle.location)
    show(as_json, values, shown)


@models_group.command()
@click.argument("model", metavar="[MODEL]", required=False, help="A version's id or @challenger.")
@click.option(
    "--to",
    type=click.Choice(["previous"]),
    help="Roll back to the previous champion, without checks.",
)
@click.option(
    "--gate",
    metavar="NAME=LIMIT",
    multiple=True,
    help="Limit of your own: accuracy and accuracy_gained (at least), log_loss, "
    "calibration_error, accuracy_lost, behavior_lost, label_changes and learned (at most). "
    "For a set in --gate-on: NAME.accuracy, NAME.accuracy_gained, NAME.accuracy_lost and "
    "NAME.learned.",
)
@click.option(
    "--batch", type=click.Path(), help="Unlabeled Parquet files in which few labels may change."
)
@click.option("--text-column", default=TEXT, help="Text column of the files in --batch.")
@click.option(
    "--reference",
    help="Fixed model to compare with besides the champion: a version's id or the path of "
    "a bundle. Default: the bundled model.",
)
@gate_on_option
@label_map_option
@data_option
@registry_option
@as_json_option
def promote(
    model: str | None,
    to: Literal["previous"] | None,
    gate: tuple[str, ...],
    batch: str | None,
    text_column: str,
    reference: str | None,
    gate_on: tuple[str, ...],
    label_map: str | None,
    data: str | None,
    registry: str | None,
    as_json: bool,
) -> None:
    """Make a model the champion if it passes every promotion check; exit code 3 if not."""
    from imdb_classifier.registry.versions import Registry

    where = Registry.at(registry)
    if (model is None) == (to is None):
        raise click.BadParameter("Give either MODEL or --to previous.")
    if model is None:
        if gate or batch or gate_on or label_map or data or reference or text_column != TEXT:
            raise click.BadParameter(
                "--to previous makes no checks: leave out --gate, --batch, --text-column, "
                "--reference, --gate-on, --label-map, --data."
            )
        champion, previous = where.roll_back(_requested_by())
        shown = table("Rolled back", "champion", "previous")
        shown.add_row(champion, previous)
        show(as_json, {"promote": True, "champion": champion, "previous": previous}, shown)
        return
    from imdb_classifier.evaluation.promotion import Gates
    from imdb_classifier.pipeline.outcomes import already_champion
    from imdb_classifier.pipeline.promote import decide_promotion

    own_sets = named_paths(gate_on)
    gates = Gates.of(dict(map(named_limit, gate)), own_sets)
    challenger = where.load(model)
    with stage_progress() as progress:
        decision = decide_promotion(
            challenger,
            where,
            data,
            gates,
            batch,
            text_column,
            reference,
            _requested_by(),
            progress,
            own_sets,
            named_meanings(label_map),
        )
    if decision is None:
        outcome = already_champion(challenger.model_id)
        show(as_json, outcome, outcome["reason"])
        return
    shown = table(decision.reason, "check", "passed", "result")
    for check in decision.checks:
        shown.add_row(check.name, "yes" if check.passed else "NO", check.found)
    show(as_json, decision.to_dict(), shown)
    raise Exit(0 if decision.promote else EXIT_REFUSED)


@models_group.command("prune")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    required=True,
    help="How many of the newest versions and interrupted trainings to keep.",
)
@click.option("--dry-run", is_flag=True, help="List what would be deleted, and delete nothing.")
@registry_option
@as_json_option
def prune_models(keep: int, dry_run: bool, registry: str | None, as_json: bool) -> None:
    """Delete old versions, with their decisions and reports, and what killed runs left.

    Champion, previous, challenger and versions without a promotion decision are always kept, unless
    the manifest of the latter is damaged, and so are trainings in progress. Incomplete versions are
    deleted after a day.
    """
    from imdb_classifier.registry.pruning import prune
    from imdb_classifier.registry.versions import Registry

    where = Registry.at(registry)
    pruned = prune(where, keep, dry_run=dry_run)
    what = "Would be deleted" if dry_run else "Deleted"
    kinds = {
        "version": pruned.versions,
        "training": pruned.trainings,
        "leftover": pruned.leftovers,
    }
    counts = ", ".join(counted(len(names), kind) for kind, names in kinds.items())
    shown = table(f"{what}: {counts} of {where.root}", "id", "kind")
    for kind, names in kinds.items():
        for name in names:
            shown.add_row(name, kind)
    values = {
        "registry": where.root,
        "pruned": pruned.versions,
        "trainings": pruned.trainings,
        "leftovers": pruned.leftovers,
    }
    show(as_json, values, shown)


def _requested_by() -> dict[str, str]:
    """Return the user's login name for the records of the registry, if there is one."""
    import getpass

    try:
        return {"user": getpass.getuser()}
    except (KeyError, OSError):
        return {}


def _minute(moment: str) -> str:
    """Cut an ISO 8601 time to the minute."""
    return moment[:16].replace("T", " ")


def _describe(bundle: Bundle, registry: Registry) -> dict[str, Any]:
    accuracy = (bundle.evaluation or {}).get("figures", {}).get("accuracy", {})
    return {
        "id": bundle.model_id,
        "aliases": registry.aliases_of(bundle.model_id),
        "recipe": bundle.recipe.name,
        "accuracy": accuracy.get("value"),
        "created_at": bundle.manifest["created_at"],
        "undecided": registry.is_undecided(bundle.model_id),
        "damaged": None,
    }
