"""The command line. One result on standard output, everything else on standard error."""

from __future__ import annotations

import json
import shutil
import sys
import traceback
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from imdb_classifier import __version__
from imdb_classifier.bundle import Bundle
from imdb_classifier.console import TrainingBar, err, row_progress, show, show_log, table
from imdb_classifier.errors import (
    EXIT_INTERNAL,
    EXIT_REFUSED,
    ImdbClassifierError,
)
from imdb_classifier.registry import CHAMPION, Registry
from imdb_classifier.schema import DEFAULT_PREFIX, TEXT

# Tracebacks of typer's would print local variables, and with them review text.
app = typer.Typer(
    name="imdb-classifier",
    help="Sentiment labels and probabilities for Parquet files of review text.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(no_args_is_help=True, help="List, show and promote models.")
data_app = typer.Typer(help="Show where IMDB reviews are, and fetch them.")
app.add_typer(models_app, name="models")
app.add_typer(data_app, name="data")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Data = Annotated[
    str | None,
    typer.Option(
        help="IMDB reviews: a Parquet folder, the Stanford archive or its folder, a URI; or "
        "'keras' or 'aclimdb' for the published copy, downloaded if need be. "
        "Default: IMDB_CLASSIFIER_DATA, else a copy fetched before."
    ),
]
ModelOption = Annotated[
    str, typer.Option(help="@champion, @challenger, @previous, a version's id, or a bundle's path.")
]
RegistryOption = Annotated[
    str | None,
    typer.Option(
        help="Folder of the model registry, here or s3://. Default: IMDB_CLASSIFIER_REGISTRY, "
        "else the user's own."
    ),
]


def main() -> None:
    """Run a command; errors end it with their text and exit code."""
    try:
        app()
    except ImdbClassifierError as error:
        if "--json" in sys.argv:
            print(json.dumps({"error": str(error), "exit_code": error.exit_code}))
        err.print(f"Error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        # Without the message: of an error that nobody foresaw, it may quote a review.
        frames = "".join(traceback.format_tb(error.__traceback__))
        err.print(f"{frames}Internal error: {type(error).__name__}", markup=False, highlight=False)
        sys.exit(EXIT_INTERNAL)


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    show_log()


@app.command()
def train(
    data: Data = None,
    recipe: Annotated[
        str, typer.Option(help="What to train: production, seed or tiny.")
    ] = "production",
    seed: Annotated[int, typer.Option(help="Decides first weights, split and order.")] = 1,
    extra_train: Annotated[
        list[str] | None,
        typer.Option(help="Parquet files of your own with text and label to train on too."),
    ] = None,
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Train a model, check it against the test split, keep it as @challenger."""
    from imdb_classifier import jobs
    from imdb_classifier.report import write_report

    where = Registry.at(registry)
    with TrainingBar() if err.is_terminal else nullcontext() as observer:
        trained = jobs.train_bundle(
            data,
            recipe,
            seed,
            where.work,
            extra_train=extra_train or (),
            download=data is not None,
            observer=observer,
        )
    evaluation, _ = jobs.evaluate_bundle(trained, data)
    bundle = jobs.register_bundle(trained, evaluation, where)
    report = write_report(evaluation, where.report_folder(bundle.model_id))
    shutil.rmtree(trained.path)
    err.print(
        f"Registered as @challenger. To score with it: "
        f"imdb-classifier models promote {bundle.model_id}",
        highlight=False,
    )
    _show_figures(as_json, bundle, evaluation.to_dict(), report)


@app.command()
def evaluate(
    model: ModelOption = CHAMPION,
    data: Data = None,
    output: Annotated[
        str | None, typer.Option(help="Folder for the report as JSON, Markdown and HTML.")
    ] = None,
    with_texts: Annotated[
        bool, typer.Option(help="Print the worst reviews in the HTML report.")
    ] = False,
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Check a model against the IMDB test split."""
    from imdb_classifier import jobs
    from imdb_classifier.report import write_report

    bundle = Registry.at(registry).load(model)
    evaluation, reviews = jobs.evaluate_bundle(bundle, data, download=data is not None)
    report = {}
    if output is not None:
        texts = jobs.worst_texts(evaluation, reviews) if with_texts else None
        report = write_report(evaluation, output, texts=texts)
    _show_figures(as_json, bundle, evaluation.to_dict(), report)


@app.command()
def score(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="A Parquet file, folder or glob; here or s3://.")
    ],
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="The file or folder to write.")],
    model: ModelOption = CHAMPION,
    text_column: Annotated[str, typer.Option(help="The column that holds the text.")] = TEXT,
    prefix: Annotated[str, typer.Option(help="Begins the new columns' names.")] = DEFAULT_PREFIX,
    on_null: Annotated[
        Literal["label", "skip", "error"],
        typer.Option(
            help="Rows whose text is null, empty or blank: keep them with nulls, leave them out, "
            "or refuse the file."
        ),
    ] = "label",
    only: Annotated[
        str | None,
        typer.Option(
            help="new, stale or new,stale: files without an output; files whose output an older "
            "model, input or options gave. Default: new, and an error where one is stale."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Score all files anew; only outputs of ours are replaced.")
    ] = False,
    deadline: Annotated[
        str | None,
        typer.Option(help="Such as 45m: what is finished by then stays, the rest is left."),
    ] = None,
    max_bad_files: Annotated[
        int | None, typer.Option(help="Stop once more files than this have failed.")
    ] = None,
    quarantine: Annotated[
        bool, typer.Option(help="List what could not be scored below OUTPUT/_quarantine.")
    ] = False,
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Write a sentiment label and a probability next to each text of Parquet files."""
    from imdb_classifier.parquet import (
        COUNTS,
        Limits,
        ScoreOptions,
        Selection,
        plan_files,
        row_counts,
        score_parquet,
    )
    from imdb_classifier.scoring import Scorer

    options = ScoreOptions(text_column, prefix, on_null, quarantine)
    selection, limits = Selection.of(only, force=force), Limits.of(deadline, max_bad_files)
    total = sum(row_counts(plan_files(source, output)))
    with Scorer.load(model, Registry.at(registry)) as scorer, row_progress(total) as on_rows:
        result = score_parquet(
            *(source, output, scorer, options),
            selection=selection,
            limits=limits,
            on_rows=on_rows,
        )
    totals = result.totals()
    shown = table(
        f"Scored by {result.model_id} ({scorer.bundle.engine.name})",
        *("file", "status", *(f"#{column.replace('_', ' ')}" for column in COUNTS)),
    )
    for file in result.files:
        counts = (getattr(file, column) for column in COUNTS)
        shown.add_row(file.name, file.status, *(f"{count:,}" for count in counts))
    if totals["files"] > 1:
        shown.add_section()
        shown.add_row("all", "", *(f"{totals[column]:,}" for column in COUNTS))
    if result.left:
        err.print(f"Left for another run: {len(result.left):,} files.", highlight=False)
    for file in result.failed:
        err.print(
            f"Error: {file.error}", style="red", markup=False, highlight=False, soft_wrap=True
        )
    show(as_json, result.to_dict(), shown)
    raise typer.Exit(result.exit_code)


@app.command()
def plan(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="A Parquet file, folder or glob.")],
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="Where the scored files would go, or are.")
    ],
    model: ModelOption = CHAMPION,
    text_column: Annotated[str, typer.Option(help="The column that holds the text.")] = TEXT,
    prefix: Annotated[str, typer.Option(help="Begins the new columns' names.")] = DEFAULT_PREFIX,
    only: Annotated[
        str | None, typer.Option(help="new, stale or new,stale, as for score; default: both.")
    ] = None,
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Show what scoring would do, and about how long and how much memory it would take."""
    from imdb_classifier.parquet import ScoreOptions, Selection, estimate
    from imdb_classifier.scoring import Scorer

    with Scorer.load(model, Registry.at(registry)) as scorer:
        found = estimate(
            *(source, output, scorer, ScoreOptions(text_column, prefix)),
            selection=Selection.of(only or "new,stale"),
        )
    totals = found.totals()
    minutes, seconds = divmod(round(found.seconds), 60)
    shown = table(
        f"{totals['rows_to_score']:,} of {totals['rows']:,} rows to score, in about "
        f"{minutes} min {seconds} s and {found.memory_bytes / 2**20:,.0f} MiB, "
        f"by {found.model_id} ({scorer.bundle.engine.name})",
        *("file", "#rows", "what it is"),
    )
    for file in found.files:
        shown.add_row(file.name, f"{file.rows:,}", file.status)
    show(as_json, found.to_dict(), shown)


@app.command()
def verify(
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="A scored file or folder.")],
    source: Annotated[
        str | None,
        typer.Option("--input", help="What it was scored from. Default: what its manifest says."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model it should be of. Default: what it says itself.")
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of each file to score again.", min=0)] = 32,
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Check that scored files are still what scoring wrote; exit code 65 if something is off."""
    from imdb_classifier.parquet import Promise
    from imdb_classifier.parquet import verify as verify_output
    from imdb_classifier.scoring import Scorer

    promise = Promise(output)
    with Scorer.load(model or promise.model_id, Registry.at(registry)) as scorer:
        found = verify_output(promise, scorer, source=source, rows_again=rows)
    verdict = "something is off" if found.problems else "all is well"
    shown = table(
        f"{found.files:,} files with {found.rows:,} rows, {found.scored_again:,} of them scored "
        f"again by {scorer.bundle.model_id}: {verdict}",
        *("file", "#row", "what is off"),
    )
    for problem in found.problems:
        shown.add_row(problem.file, "" if problem.row is None else f"{problem.row:,}", problem.what)
    show(as_json, found.to_dict(), shown)
    raise typer.Exit(found.exit_code)


@models_app.command("list")
def list_models(registry: RegistryOption = None, as_json: AsJson = False) -> None:
    """List the versions of the registry, and the bundled model."""
    where = Registry.at(registry)
    rows = [_describe(bundle, where) for bundle in where.bundles()]
    shown = table(f"Models in {where.root}", "id", "alias", "recipe", "#accuracy", "trained")
    for row in rows:
        accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.2%}"
        aliases = " ".join(f"@{alias}" for alias in row["aliases"])
        shown.add_row(row["id"], aliases, row["recipe"], accuracy, row["created_at"])
    show(as_json, {"registry": where.root, "models": rows}, shown)


@models_app.command("show")
def show_model(
    model: Annotated[str, typer.Argument(help="@alias, a version's id, or a bundle's path.")],
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Show how a model came about and what its evaluation found."""
    where = Registry.at(registry)
    bundle = where.load(model)
    values = _describe(bundle, where) | {
        "path": bundle.location,
        "manifest": {k: v for k, v in bundle.manifest.items() if k != "golden"},
        "evaluation": bundle.evaluation,
    }
    shown = table(bundle.model_id, "what", "value")
    data = bundle.manifest["data"]
    shown.add_row("alias", " ".join(f"@{alias}" for alias in values["aliases"]))
    shown.add_row("recipe", f"{bundle.recipe.name}, seed {bundle.manifest['seed']}")
    shown.add_row("trained on", f"{data['rows']:,} reviews ({data['source']})")
    shown.add_row("trained", values["created_at"])
    for name, figure in (bundle.evaluation or {}).get("figures", {}).items():
        shown.add_row(name.replace("_", " "), _interval(figure))
    shown.add_row("folder", bundle.location)
    show(as_json, values, shown)


@models_app.command()
def promote(
    model: Annotated[str | None, typer.Argument(help="A version's id or @challenger.")] = None,
    to: Annotated[
        Literal["previous"] | None,
        typer.Option(help="Roll back to what was champion before, without a comparison."),
    ] = None,
    data: Data = None,
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Make a model the champion if it is not worse on the same test rows; exit code 3 if it is."""
    where = Registry.at(registry)
    if (model is None) == (to is None):
        raise typer.BadParameter("Name either a MODEL, or --to previous.")
    if model is None:
        promoted = where.promote("@previous")
        shown = table("Rolled back", "champion", "previous")
        shown.add_row(promoted, where.aliases()["previous"])
        show(as_json, {"promote": True, "champion": promoted}, shown)
        return
    from imdb_classifier import jobs

    decision = jobs.compare_with_champion(where.load(model), where, data)
    if decision.promote:
        where.promote(model)
    shown = table(decision.reason, "", "id", "#accuracy")
    shown.add_row("challenger", decision.challenger, f"{decision.challenger_accuracy:.2%}")
    shown.add_row("champion", decision.champion, f"{decision.champion_accuracy:.2%}")
    show(as_json, asdict(decision), shown)
    raise typer.Exit(0 if decision.promote else EXIT_REFUSED)


@data_app.callback(invoke_without_command=True)
def show_data(context: typer.Context, as_json: AsJson = False) -> None:
    """Show where IMDB reviews are, and fetch them."""
    if context.invoked_subcommand is not None:
        return
    from imdb_classifier.imdb import describe_sources

    sources = describe_sources()
    shown = table("IMDB reviews", "source", "state", "#size", "location")
    for source in sources:
        size = "" if source.size is None else f"{source.size / 1e6:,.1f} MB"
        shown.add_row(source.source, source.state, size, source.location)
    show(as_json, {"sources": [asdict(source) for source in sources]}, shown)


@data_app.command()
def fetch(
    source: Annotated[Literal["aclimdb", "keras"], typer.Argument(help="Which copy.")] = "aclimdb",
    as_json: AsJson = False,
) -> None:
    """Download a published copy of the IMDB reviews into the cache, checked against its hash."""
    from imdb_classifier.imdb import fetch as fetch_source

    path = fetch_source(source)
    shown = table("Fetched", "source", "location")
    shown.add_row(source, str(path))
    show(as_json, {"source": source, "path": str(path)}, shown)


@app.command()
def quickstart(
    folder: Annotated[
        Path, typer.Option(help="Where registry, report and scored files go.")
    ] = Path("quickstart"),
) -> None:
    """Run the training and the scoring flow once: on IMDB where it is configured, else a sample."""
    from imdb_classifier.quickstart import run

    raise typer.Exit(run(folder))


@app.command()
def serve(
    source: Annotated[str | None, typer.Option(help="What is scored every night.")] = None,
    output: Annotated[str | None, typer.Option(help="Where the scored files go.")] = None,
) -> None:
    """Retrain every week and score every night from this process, until it is stopped."""
    from imdb_classifier.quickstart import serve as serve_deployments

    serve_deployments(source, output)


def _describe(bundle: Bundle, registry: Registry) -> dict[str, Any]:
    evaluation = bundle.evaluation
    return {
        "id": bundle.model_id,
        "aliases": registry.aliases_of(bundle.model_id),
        "recipe": bundle.recipe.name,
        "accuracy": evaluation and evaluation["figures"]["accuracy"]["value"],
        "created_at": bundle.manifest["created_at"],
    }


def _show_figures(
    as_json: bool, bundle: Bundle, evaluation: dict[str, Any], report: dict[str, str]
) -> None:
    shown = table(f"{bundle.model_id} on {evaluation['rows']:,} test reviews", "figure", "#value")
    for name, figure in evaluation["figures"].items():
        shown.add_row(name.replace("_", " "), _interval(figure))
    show(as_json, {"model_id": bundle.model_id, "evaluation": evaluation, "report": report}, shown)
    if "report.html" in report:
        err.print(f"Report: {report['report.html']}", highlight=False, soft_wrap=True)


def _interval(figure: dict[str, float]) -> str:
    return f"{figure['value']:.4f}  [{figure['low']:.4f}, {figure['high']:.4f}]"
