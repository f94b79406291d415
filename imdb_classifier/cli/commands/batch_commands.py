"""The commands `score`, `plan` (a dry run), `verify` and `sample`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from imdb_classifier.batch.options import Limits, Only, OnNull, ScoreOptions, Selection
from imdb_classifier.cli.commands.shared_options import (
    AsJson,
    EngineOption,
    ModelOption,
    RegistryOption,
    ThreadsOption,
    help_of,
    listed_names,
    named_limit,
)
from imdb_classifier.cli.console import (
    cancel_on_interrupt,
    err,
    keeps,
    show,
    stage_progress,
    table,
    waiting,
    with_options,
)
from imdb_classifier.cli.imports import use_arrow_without_pandas
from imdb_classifier.errors import counted
from imdb_classifier.monitoring.drift_limits import DriftLimits
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.sampling.sample_options import SampleOptions

if TYPE_CHECKING:
    from imdb_classifier.batch.results import RunResult

Input = Annotated[
    str,
    typer.Argument(
        metavar="INPUT", help="A Parquet file, folder or glob pattern; local or in an object store."
    ),
]
Output = Annotated[
    str, typer.Argument(metavar="OUTPUT", help="File or folder for the scored copies.")
]
TextColumn = Annotated[str, typer.Option(help=help_of(ScoreOptions, "text_column"))]
Prefix = Annotated[str, typer.Option(help=help_of(ScoreOptions, "prefix"))]
OnNullOption = Annotated[OnNull, typer.Option(help=help_of(ScoreOptions, "on_null"))]
Quarantine = Annotated[bool, typer.Option(help=help_of(ScoreOptions, "quarantine"))]
Columns = Annotated[
    str | None, typer.Option(metavar="NAME,...", help=help_of(ScoreOptions, "columns"))
]
AtLeast = Annotated[float | None, typer.Option(help=help_of(ScoreOptions, "at_least"))]
UnsureLabel = Annotated[str | None, typer.Option(help=help_of(ScoreOptions, "unsure_label"))]
Reason = Annotated[bool, typer.Option(help=help_of(ScoreOptions, "reason"))]
OnlyOption = Annotated[Only | None, typer.Option(help=help_of(Selection, "only"))]
Force = Annotated[bool, typer.Option("--force", help=help_of(Selection, "force"))]
AllowUnapproved = Annotated[
    bool, typer.Option(help="Score with a version that has not passed the promotion checks.")
]

FILES_SHOWN: Final = 50
"""Files in an output up to which those that are reused are shown, too."""


@keeps("Finished files are kept; rerun to continue.")
def score(
    source: Input,
    output: Output,
    model: ModelOption = CHAMPION,
    text_column: TextColumn = ScoreOptions.text_column,
    prefix: Prefix = ScoreOptions.prefix,
    on_null: OnNullOption = ScoreOptions.on_null,
    quarantine: Quarantine = ScoreOptions.quarantine,
    columns: Columns = None,
    at_least: AtLeast = ScoreOptions.at_least,
    unsure_label: UnsureLabel = ScoreOptions.unsure_label,
    reason: Reason = ScoreOptions.reason,
    only: OnlyOption = Selection.only,
    force: Force = Selection.force,
    prune: Annotated[
        bool, typer.Option("--prune", help=help_of(Selection, "prune"))
    ] = Selection.prune,
    allow_unapproved: AllowUnapproved = False,
    deadline: Annotated[
        str | None, typer.Option(help=help_of(Limits, "deadline"))
    ] = Limits.deadline,
    max_bad_files: Annotated[
        int | None, typer.Option(help=help_of(Limits, "max_bad_files"))
    ] = Limits.max_bad_files,
    accept_bad_files: Annotated[
        int, typer.Option(help=help_of(Limits, "accept_bad_files"))
    ] = Limits.accept_bad_files,
    drift_limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LIMIT",
            help="Limits of your own for input drift, by name: "
            f"{', '.join(asdict(DriftLimits()))}.",
        ),
    ] = None,
    runner: Annotated[
        Literal["local", "process", "dask"],
        typer.Option(
            help="Where files are scored: local, in this process, on every core; process, in one "
            "process per core; dask, on the workers of a Dask cluster. process and dask run the "
            "Prefect flow."
        ),
    ] = "local",
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of the Dask scheduler. Default: a cluster of this machine's cores."
        ),
    ] = None,
    threads: ThreadsOption = None,
    engine: EngineOption = "auto",
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Add a sentiment label and a probability to every review in Parquet files."""
    from imdb_classifier.batch.file_pool import score_files
    from imdb_classifier.batch.run import BatchRun
    from imdb_classifier.cli.commands.flow_commands import score_by_flow
    from imdb_classifier.registry.versions import Registry
    from imdb_classifier.scoring.scorer import Scorer

    options = ScoreOptions(
        *(text_column, prefix, on_null, quarantine, listed_names(columns)),
        at_least=at_least,
        unsure_label=unsure_label,
        reason=reason,
    )
    selection = Selection(only, force, prune)
    limits = Limits(deadline, max_bad_files, accept_bad_files)
    named_limits = dict(map(named_limit, drift_limit or ()))
    drift_limits = DriftLimits.of(named_limits)
    if runner != "local" or scheduler is not None:
        result = score_by_flow(
            source=source,
            output=output,
            model=model,
            registry=registry,
            allow_unapproved=allow_unapproved,
            threads=threads,
            engine=engine,
            drift_limits=named_limits,
            runner=runner,
            scheduler=scheduler,
            **asdict(options),
            **asdict(selection),
            **asdict(limits),
        )
        _show_result(as_json, result, runner)
        raise typer.Exit(result.exit_code)
    use_arrow_without_pandas()
    with (
        Scorer.load(
            model,
            Registry.at(registry),
            allow_unapproved=allow_unapproved,
            threads=threads,
            engine=engine,
        ) as scorer,
        waiting("finding files") as found_files,
        BatchRun.open(
            source,
            output,
            scorer.bundle.model_hash,
            options,
            selection=selection,
            limits=limits,
            drift_limits=drift_limits,
        ) as run,
    ):
        found_files()
        with stage_progress() as progress, cancel_on_interrupt() as cancel:
            units = [score_files(unit, scorer, progress, cancel) for unit in run.units()]
            result = run.finish(units, scorer.bundle)
    _show_result(as_json, result, runner)
    if cancel.is_set() and result.of_status("pending"):
        raise KeyboardInterrupt
    raise typer.Exit(result.exit_code)


def _show_result(as_json: bool, result: RunResult, runner: str) -> None:
    from imdb_classifier.batch.results import COUNTS

    totals = result.totals()
    columns = [
        column
        for column in (*COUNTS, "unsure")
        if column not in ("truncated", "unsure") or totals[column]
    ]
    how = [runner] if runner != "local" else []
    how += [f"{engine} engine" for engine in result.engines]
    shown = table(
        result.summary.removesuffix(".")
        + (f" ({', '.join(how)})" if how else "")
        + (f"\n{result.expected_accuracy.summary}" if result.expected_accuracy else ""),
        *("file", "status", *(f"#{column.replace('_', ' ')}" for column in columns)),
    )
    # Reused files are counted only, or the new ones would be hard to find among them.
    all_reused = totals["reused"] == totals["files"]
    for file in () if as_json else result.files:
        if file.status != "reused" or all_reused or totals["files"] <= FILES_SHOWN:
            counts = (getattr(file, column) for column in columns)
            shown.add_row(file.name, file.status, *(f"{count:,}" for count in counts))
    if totals["files"] > 1:
        shown.add_section()
        shown.add_row("all", "", *(f"{totals[column]:,}" for column in columns))
    for note in result.notes():
        err.print(with_options(note), soft_wrap=True)
    if result.drift and result.drift.crossed:
        err.print(result.drift.summary, style="yellow", soft_wrap=True)
    for file in result.failed:
        err.print(f"Error: {with_options(file.error or '')}", style="red", soft_wrap=True)
    show(as_json, result.outline(), shown)


def plan(
    source: Input,
    output: Output,
    model: ModelOption = CHAMPION,
    text_column: TextColumn = ScoreOptions.text_column,
    prefix: Prefix = ScoreOptions.prefix,
    on_null: OnNullOption = ScoreOptions.on_null,
    quarantine: Quarantine = ScoreOptions.quarantine,
    columns: Columns = None,
    at_least: AtLeast = ScoreOptions.at_least,
    unsure_label: UnsureLabel = ScoreOptions.unsure_label,
    reason: Reason = ScoreOptions.reason,
    only: OnlyOption = Selection.only,
    force: Force = Selection.force,
    allow_unapproved: AllowUnapproved = False,
    threads: ThreadsOption = None,
    engine: EngineOption = "auto",
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Dry run: list the files that score would process, and estimate time and memory."""
    from imdb_classifier.batch.dry_run import dry_run_parquet
    from imdb_classifier.batch.inputs.file_names import ignored_summary
    from imdb_classifier.batch.results import orphans_note
    from imdb_classifier.registry.versions import Registry
    from imdb_classifier.scoring.scorer import Scorer

    options = ScoreOptions(
        *(text_column, prefix, on_null, quarantine, listed_names(columns)),
        at_least=at_least,
        unsure_label=unsure_label,
        reason=reason,
    )
    selection = Selection(only, force)
    where = Registry.at(registry)
    use_arrow_without_pandas()
    with (
        Scorer.load(
            model, where, allow_unapproved=allow_unapproved, threads=threads, engine=engine
        ) as scorer,
        stage_progress() as progress,
    ):
        found = dry_run_parquet(
            source, output, scorer, options, selection=selection, progress=progress
        )
    totals = found.totals()
    minutes, seconds = divmod(round(found.seconds), 60)
    shown = table(
        f"{totals['rows_to_score']:,} of {counted(totals['rows'], 'row')} to score, in about "
        f"{minutes} min {seconds} s and {found.memory_bytes / 2**20:,.0f} MiB, "
        f"by {found.model_id} ({found.engine} engine)",
        *("file", "#rows", "status"),
    )
    for file in found.files:
        if not as_json:
            shown.add_row(file.name, f"{file.rows:,}", file.status)
        if file.error:
            err.print(f"Error: {with_options(file.error)}", style="red", soft_wrap=True)
    if found.ignored:
        err.print(f"{ignored_summary(found.ignored)}.", soft_wrap=True)
    if found.orphans:
        err.print(with_options(orphans_note(found.orphans)), soft_wrap=True)
    show(as_json, found.outline(), shown)


def verify(
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="A scored file or folder.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--input", help="Input that OUTPUT was scored from. Default: as in its manifest."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model that scored OUTPUT. Default: the one that OUTPUT names."),
    ] = None,
    rows: Annotated[int, typer.Option(help="Number of rows per file to score again.", min=0)] = 32,
    threads: ThreadsOption = None,
    engine: EngineOption = "auto",
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Check that scored files are unchanged since they were written; exit code 65 if not."""
    from imdb_classifier.batch.verification import verify_output
    from imdb_classifier.registry.versions import Registry

    use_arrow_without_pandas()
    with stage_progress() as progress:
        found = verify_output(
            output,
            model,
            source=source,
            rows_again=rows,
            registry=Registry.at(registry),
            threads=threads,
            engine=engine,
            progress=progress,
        )
    verdict = "differences found" if found.problems else "no differences"
    title = (
        f"{counted(found.files, 'file')} with {counted(found.rows, 'row')}, "
        f"{found.scored_again:,} of them scored again by {found.model_id}: {verdict}"
    )
    shown = table(title, *("file", "#row", "problem"))
    if found.without_text:
        files = counted(len(found.without_text), "file")
        err.print(f"Scores not checked: {files} without the text column. Name the input: --input.")
    for problem in found.problems:
        shown.add_row(
            problem.file,
            "" if problem.row is None else f"{problem.row:,}",
            with_options(problem.what),
        )
    show(as_json, found.to_dict(), shown if found.problems else title)
    raise typer.Exit(found.exit_code)


def sample(
    scored: Annotated[
        str,
        typer.Argument(
            metavar="SCORED", help="A scored Parquet file, a folder of them or a glob pattern."
        ),
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="The Parquet file to write, to be filled in.")
    ],
    half_width: Annotated[
        float, typer.Option(help=help_of(SampleOptions, "half_width"))
    ] = SampleOptions.half_width,
    rows: Annotated[
        int | None, typer.Option(help=help_of(SampleOptions, "rows"))
    ] = SampleOptions.rows,
    seed: Annotated[int, typer.Option(help=help_of(SampleOptions, "seed"))] = SampleOptions.seed,
    as_json: AsJson = False,
) -> None:
    """Draw rows of scored files to label by hand, so that their accuracy is known."""
    from imdb_classifier.sampling.drawing import draw_sample

    found = draw_sample(scored, output, SampleOptions(half_width, rows, seed))
    shown = table(
        f"{found.rows:,} of {found.all_rows:,} rows that {found.model_id} labeled, to be labeled "
        f"in {found.output}; the accuracy will be known to about ±{100 * found.half_width:.1f} "
        "points",
        *("stratum", "confidence from", "#rows", "#drawn"),
    )
    for stratum in found.strata:
        row = (str(stratum.stratum), f"{stratum.lowest_confidence:g}")
        shown.add_row(*row, f"{stratum.rows:,}", f"{stratum.drawn:,}")
    show(as_json, found.to_dict(), shown)
