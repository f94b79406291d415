"""The commands that score Parquet files: what would be done, doing it, and checking it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from imdb_classifier.cli.console import err, row_progress, show, table
from imdb_classifier.cli.options import AsJson, ModelOption, RegistryOption, named_limit
from imdb_classifier.registry.versions import CHAMPION, Registry
from imdb_classifier.schema import DEFAULT_PREFIX, TEXT

Undecided = Annotated[
    bool, typer.Option(help="Score with a version even if it has not passed its decision.")
]


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
    undecided: Undecided = False,
    quarantine: Annotated[
        bool, typer.Option(help="List what could not be scored below OUTPUT/_quarantine.")
    ] = False,
    drift_limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LIMIT",
            help="A limit of your own for how far the input may be from the reviews that the model "
            "was checked on: scores, lengths, positive, unknown_words, truncated, without_text.",
        ),
    ] = None,
    runner: Annotated[
        Literal["local", "process", "dask"],
        typer.Option(
            help="Where files are scored: on this machine's cores, or by the Prefect flow, in a "
            "process a core or on a Dask cluster."
        ),
    ] = "local",
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of the cluster's scheduler. Default: a cluster of our own."),
    ] = None,
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Write a sentiment label and a probability next to each text of Parquet files."""
    from imdb_classifier.batch.discovery import plan_files
    from imdb_classifier.batch.outputs.provenance import Selection
    from imdb_classifier.batch.outputs.scored_file import COUNTS, ScoreOptions
    from imdb_classifier.batch.run import Limits, row_counts, score_parquet
    from imdb_classifier.cli.flow_commands import run_flow
    from imdb_classifier.monitoring.drift import DriftLimits
    from imdb_classifier.scoring.scorer import Scorer

    options = ScoreOptions(text_column, prefix, on_null, quarantine)
    selection, limits = Selection.of(only, force=force), Limits.of(deadline, max_bad_files)
    limits_of_drift = dict(map(named_limit, drift_limit or ()))
    drift_limits = DriftLimits.of(limits_of_drift)
    if runner != "local":
        if as_json:
            raise typer.BadParameter("--json goes with --runner local.")
        parameters = asdict(options) | {
            "source": source,
            "output": output,
            "model": model,
            "registry": registry,
            "only": only,
            "force": force,
            "deadline": deadline,
            "max_bad_files": max_bad_files,
            "undecided": undecided,
            "drift_limits": limits_of_drift,
            "runner": runner,
            "scheduler": scheduler,
        }
        raise typer.Exit(run_flow("score.py", parameters))
    total = sum(row_counts(plan_files(source, output)))
    scorer = Scorer.load(model, Registry.at(registry), allow_unapproved=undecided)
    with scorer, row_progress(total) as on_rows:
        result = score_parquet(
            *(source, output, scorer, options),
            selection=selection,
            limits=limits,
            drift_limits=drift_limits,
            on_rows=on_rows,
        )
    totals = result.totals()
    columns = [column for column in COUNTS if column != "truncated" or totals[column]]
    shown = table(
        f"Scored by {result.model_id} ({scorer.bundle.engine.name})",
        *("file", "status", *(f"#{column.replace('_', ' ')}" for column in columns)),
    )
    for file in result.files:
        counts = (getattr(file, column) for column in columns)
        shown.add_row(file.name, file.status, *(f"{count:,}" for count in counts))
    if totals["files"] > 1:
        shown.add_section()
        shown.add_row("all", "", *(f"{totals[column]:,}" for column in columns))
    if result.left:
        err.print(f"Left for another run: {len(result.left):,} files.")
    if result.drift and result.drift.crossed:
        err.print(result.drift.summary, style="yellow", soft_wrap=True)
    for file in result.failed:
        err.print(f"Error: {file.error}", style="red", soft_wrap=True)
    show(as_json, result.to_dict(), shown)
    raise typer.Exit(result.exit_code)


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
    from imdb_classifier.batch.dry_run import estimate_run
    from imdb_classifier.batch.outputs.provenance import Selection
    from imdb_classifier.batch.outputs.scored_file import ScoreOptions
    from imdb_classifier.scoring.scorer import Scorer

    with Scorer.load(model, Registry.at(registry), allow_unapproved=True) as scorer:
        found = estimate_run(
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
    from imdb_classifier.batch.verification import verify_output

    found = verify_output(
        output, model, source=source, rows_again=rows, registry=Registry.at(registry)
    )
    verdict = "something is off" if found.problems else "all is well"
    shown = table(
        f"{found.files:,} files with {found.rows:,} rows, {found.scored_again:,} of them scored "
        f"again by {found.model_id}: {verdict}",
        *("file", "#row", "what is off"),
    )
    for problem in found.problems:
        shown.add_row(problem.file, "" if problem.row is None else f"{problem.row:,}", problem.what)
    show(as_json, found.to_dict(), shown)
    raise typer.Exit(found.exit_code)
