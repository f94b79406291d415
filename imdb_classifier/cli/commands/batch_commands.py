"""The commands `score`, `plan` (a dry run), `verify` and `sample`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import click
from click.exceptions import Exit

from imdb_classifier.batch.options import Limits, Only, OnNull, ScoreOptions, Selection
from imdb_classifier.cli.commands.shared_options import (
    as_json_option,
    engine_option,
    field_option,
    listed_names,
    model_option,
    named_limit,
    registry_option,
    threads_option,
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
from imdb_classifier.sampling.sample_options import SampleOptions

if TYPE_CHECKING:
    from imdb_classifier.batch.results import RunResult
    from imdb_classifier.model.engines import EngineChoice

FILES_SHOWN: Final = 50
"""Files in an output up to which those that are reused are shown, too."""


class _FromInputToOutput(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True
        if extra := super().parse_args(ctx, args):
            ctx.fail(
                f"Expected one INPUT and one OUTPUT, but received {2 + len(extra)} arguments. "
                "Quote a pattern such as '*.parquet', so that the shell does not expand it."
            )
        return extra


def _batch_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments and options that say what is scored, and how."""

    @wraps(command)
    def with_score_options(columns: str | None, **given: Any) -> None:
        names = {field.name for field in fields(ScoreOptions)}
        chosen = {name: given.pop(name) for name in names & given.keys()}
        command(options=ScoreOptions(columns=listed_names(columns), **chosen), **given)

    decorated: Callable[..., None] = with_score_options
    for option in reversed(
        (
            click.argument(
                "source",
                metavar="INPUT",
                type=click.Path(),
                help="A Parquet file, folder or glob pattern; local or in an object store.",
            ),
            click.argument(
                "output",
                metavar="OUTPUT",
                type=click.Path(),
                help="File or folder for the scored copies.",
            ),
            model_option,
            field_option(ScoreOptions, "text_column"),
            field_option(ScoreOptions, "prefix"),
            field_option(ScoreOptions, "on_null", type=click.Choice(get_args(OnNull))),
            field_option(ScoreOptions, "quarantine"),
            field_option(ScoreOptions, "columns", metavar="NAME,..."),
            field_option(ScoreOptions, "at_least", type=float),
            field_option(ScoreOptions, "unsure_label"),
            field_option(ScoreOptions, "reason"),
            field_option(Selection, "only", type=click.Choice(get_args(Only))),
            field_option(Selection, "force", is_flag=True),
            click.option(
                "--allow-unapproved/--no-allow-unapproved",
                default=False,
                help="Score with a version that has not passed the promotion checks.",
            ),
        )
    ):
        decorated = option(decorated)
    return decorated


@click.command(cls=_FromInputToOutput)
@_batch_options
@field_option(Selection, "prune", is_flag=True)
@field_option(Limits, "deadline")
@field_option(Limits, "max_bad_files", type=int)
@field_option(Limits, "accept_bad_files")
@click.option(
    "--drift-limit",
    metavar="NAME=LIMIT",
    multiple=True,
    help=f"Limits of your own for input drift, by name: {', '.join(asdict(DriftLimits()))}.",
)
@click.option(
    "--runner",
    type=click.Choice(["local", "process", "dask"]),
    default="local",
    help="Where files are scored: local, in this process, on every core; process, in one "
    "process per core; dask, on the workers of a Dask cluster. process and dask run the "
    "Prefect flow.",
)
@click.option(
    "--scheduler",
    help="Address of the Dask scheduler. Default: a cluster of this machine's cores.",
)
@threads_option
@engine_option
@registry_option
@as_json_option
@keeps("Finished files are kept; rerun to continue.")
def score(
    source: str,
    output: str,
    model: str,
    options: ScoreOptions,
    only: Only | None,
    force: bool,
    allow_unapproved: bool,
    prune: bool,
    deadline: str | None,
    max_bad_files: int | None,
    accept_bad_files: int,
    drift_limit: tuple[str, ...],
    runner: Literal["local", "process", "dask"],
    scheduler: str | None,
    threads: int | None,
    engine: EngineChoice,
    registry: str | None,
    as_json: bool,
) -> None:
    """Add a sentiment label and a probability to every review in Parquet files."""
    from imdb_classifier.batch.file_pool import score_files
    from imdb_classifier.batch.run import BatchRun
    from imdb_classifier.cli.flow_calls import score_by_flow
    from imdb_classifier.registry.versions import Registry
    from imdb_classifier.scoring.scorer import Scorer

    selection = Selection(only, force, prune)
    limits = Limits(deadline, max_bad_files, accept_bad_files)
    drift_limits = DriftLimits.of(named_limits := dict(map(named_limit, drift_limit)))
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
        raise Exit(result.exit_code)
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
    raise Exit(result.exit_code)


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


@click.command(cls=_FromInputToOutput)
@_batch_options
@threads_option
@engine_option
@registry_option
@as_json_option
def plan(
    source: str,
    output: str,
    model: str,
    options: ScoreOptions,
    only: Only | None,
    force: bool,
    allow_unapproved: bool,
    threads: int | None,
    engine: EngineChoice,
    registry: str | None,
    as_json: bool,
) -> None:
    """Dry run: list the files that score would process, and estimate time and memory."""
    from imdb_classifier.batch.dry_run import dry_run_parquet
    from imdb_classifier.batch.inputs.file_names import ignored_summary
    from imdb_classifier.batch.results import orphans_note
    from imdb_classifier.registry.versions import Registry
    from imdb_classifier.scoring.scorer import Scorer

    where, selection = Registry.at(registry), Selection(only, force)
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


@click.command
@click.argument("output", metavar="OUTPUT", type=click.Path(), help="A scored file or folder.")
@click.option(
    "--input",
    "source",
    type=click.Path(),
    help="Input that OUTPUT was scored from. Default: as in its manifest.",
)
@click.option("--model", help="Model that scored OUTPUT. Default: the one that OUTPUT names.")
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=32,
    help="Number of rows per file to score again.",
)
@threads_option
@engine_option
@registry_option
@as_json_option
def verify(
    output: str,
    source: str | None,
    model: str | None,
    rows: int,
    threads: int | None,
    engine: EngineChoice,
    registry: str | None,
    as_json: bool,
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
    raise Exit(found.exit_code)


@click.command
@click.argument(
    "scored",
    metavar="SCORED",
    type=click.Path(),
    help="A scored Parquet file, a folder of them or a glob pattern.",
)
@click.argument(
    "output",
    metavar="OUTPUT",
    type=click.Path(),
    help="The Parquet file to write, to be filled in.",
)
@field_option(SampleOptions, "half_width")
@field_option(SampleOptions, "rows", type=int)
@field_option(SampleOptions, "seed")
@as_json_option
def sample(
    scored: str, output: str, half_width: float, rows: int | None, seed: int, as_json: bool
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
