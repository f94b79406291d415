"""The commands `models list`, `show`, `promote` and `prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from imdb_classifier.cli.commands.shared_options import (
    AsJson,
    Data,
    GateOn,
    LabelMapOption,
    RegistryOption,
    named_limit,
    named_meanings,
    named_paths,
)
from imdb_classifier.cli.console import err, interval, show, stage_progress, table
from imdb_classifier.errors import EXIT_REFUSED, counted, listed
from imdb_classifier.schema import TEXT

if TYPE_CHECKING:
    from imdb_classifier.model.bundle import Bundle
    from imdb_classifier.registry.versions import Registry

models_app = typer.Typer(no_args_is_help=True, help="List, show, promote and prune models.")


@models_app.command("list")
def list_models(registry: RegistryOption = None, as_json: AsJson = False) -> None:
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
            "undecided": where.is_undecided(name),
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


@models_app.command("show")
def show_model(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="@alias, a version's id, or a bundle's path.")
    ],
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
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


@models_app.command()
def promote(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A version's id or @challenger.")
    ] = None,
    to: Annotated[
        Literal["previous"] | None,
        typer.Option(help="Roll back to the previous champion, without checks."),
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LIMIT",
            help="Limit of your own: accuracy and accuracy_gained (at least), log_loss, "
            "calibration_error, accuracy_lost, behavior_lost, label_changes and learned (at most). "
            "For a set in --gate-on: NAME.accuracy, NAME.accuracy_gained, NAME.accuracy_lost and "
            "NAME.learned.",
        ),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(help="Unlabeled Parquet files in which few labels may change."),
    ] = None,
    text_column: Annotated[str, typer.Option(help="Text column of the files in --batch.")] = TEXT,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Fixed model to compare with besides the champion: a version's id or the path of "
            "a bundle. Default: the bundled model."
        ),
    ] = None,
    gate_on: GateOn = None,
    label_map: LabelMapOption = None,
    data: Data = None,
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Make a model the champion if it passes every promotion check; exit code 3 if not."""
    from imdb_classifier.registry.versions import Registry

    where = Registry.at(registry)
    if (model is None) == (to is None):
        raise typer.BadParameter("Give either MODEL or --to previous.")
    if model is None:
        if gate or batch or gate_on or label_map or data or reference or text_column != TEXT:
            raise typer.BadParameter(
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

    own_sets = named_paths(gate_on or ())
    gates = Gates.of(dict(map(named_limit, gate or ())), own_sets)
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
    raise typer.Exit(0 if decision.promote else EXIT_REFUSED)


@models_app.command("prune")
def prune_models(
    keep: Annotated[
        int,
        typer.Option(
            min=0, help="How many of the newest versions and interrupted trainings to keep."
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be deleted, and delete nothing.")
    ] = False,
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Delete old versions, with their decisions and reports, and what killed runs left.

    Champion, previous, challenger and versions without a promotion decision are always kept, and so
    are trainings in progress. Incomplete versions are deleted after a day.
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
