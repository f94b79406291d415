"""Whether scored files are still what scoring wrote: sums, counts, one model, and rows again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Final

from imdb_classifier.batch.checks.file_check import FileCheck, Problem
from imdb_classifier.batch.checks.published_output import ListedFile, Publication
from imdb_classifier.batch.checks.rows_again import RowsAgain
from imdb_classifier.batch.inputs.discovery import find_files
from imdb_classifier.errors import EXIT_BAD_DATA, EXIT_DONE, NoInputError, spelled
from imdb_classifier.model.engines import EngineChoice, EngineName
from imdb_classifier.progress import Progress
from imdb_classifier.registry.versions import Registry
from imdb_classifier.scoring.scorer import CHUNK_ROWS, Scorer, scorer_for
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.paths import StrPath, location_of

MOST_TOGETHER: Final = 64
"""Files that one thread checks before their rows are scored, at the most."""


@dataclass(frozen=True)
class Verification:
    """What was looked at and found.

    Attributes:
        model_id: The model that all of it should be of.
        engine: The engine that scored rows again.
        files: How many files were looked at.
        rows: How many rows they have.
        scored_again: How many of these were scored again.
        problems: What is wrong; empty if nothing is.
        without_text: Files whose scores were not checked, because their text column was left out
            and their input is not known.
    """

    model_id: str
    engine: EngineName
    files: int
    rows: int
    scored_again: int
    problems: tuple[Problem, ...]
    without_text: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or 65 if there are problems."""
        return EXIT_BAD_DATA if self.problems else EXIT_DONE

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return asdict(self)


def verify_output(
    output: StrPath,
    model: StrPath | Scorer | None = None,
    *,
    source: StrPath | None = None,
    rows_again: int = 32,
    registry: Registry | None = None,
    threads: int | None = None,
    engine: EngineChoice = "auto",
    progress: Progress | None = None,
) -> Verification:
    """Check scored files: sums, counts, columns, inputs, and some rows scored again.

    Args:
        output: A scored file, or a folder that a run completed.
        model: The model that should have scored it: a reference or a `Scorer`, as for
            `score_parquet`. By default the model that the output names.
        source: The input that it should be scored from. By default the one that a folder's
            manifest names; a single file's input is checked only if it is given here.
        rows_again: Rows of each file to score again, spread over the file; at least 0.
        registry: Where a reference is looked up; by default `Registry.at()`.
        threads: Number of threads for a model that is a reference; see `Scorer.load`.
        engine: What runs the network of a model that is a reference; see `Scorer.load`.
        progress: Called in this thread with ``"files"``, the number of files checked, and the
            number of files; after each file, or after several with few rows.

    Returns:
        What was checked, and what is wrong. Its ``exit_code`` is 0 if nothing is.

    Raises:
        NoInputError: The output is no such file or folder, or there is nothing in its input.
        UnavailableError: The output or the input cannot be reached.
        ImdbClassifierError: The model cannot be loaded, see `Scorer.load`.

    Example:
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> from imdb_classifier import score_parquet, verify_output
        >>> pq.write_table(pa.table({"text": ["A warm and funny film."]}), "reviews.parquet")
        >>> result = score_parquet("reviews.parquet", "scored.parquet")
        >>> verify_output("scored.parquet").problems
        ()
    """
    publication = Publication(location_of(output))
    with scorer_for(
        model or publication.model_id,
        registry,
        allow_unapproved=True,
        threads=threads,
        engine=engine,
    ) as scorer:
        named = location_of(source) if source else publication.source
        try:
            inputs = _inputs(publication, named) if named else None
        except NoInputError as error:
            if source:
                raise
            raise NoInputError(
                "The input that the manifest names must exist.",
                f"There is nothing to read in {named}.",
                "If it has moved, name its new location as the input.",
            ) from error
        return _verify(publication, scorer, inputs, rows_again, progress or (lambda *_: None))


def _verify(
    publication: Publication,
    scorer: Scorer,
    inputs: dict[str, str] | None,
    rows_again: int,
    progress: Progress,
) -> Verification:
    problems = [
        Problem(
            name,
            None,
            "Its input is gone; delete it with `prune`."
            if name in publication.orphans
            else "The manifest does not list it.",
        )
        for name in sorted(publication.names.keys() - publication.files.keys())
    ]
    if inputs is not None:
        unscored = sorted(inputs.keys() - publication.files.keys() - publication.unscored)
        problems += [
            Problem(name, None, "It is in the input, and not scored.") for name in unscored
        ]

    def check(names: Sequence[str]) -> list[FileCheck]:
        rows, checks = RowsAgain(scorer), []
        for name in names:
            checks.append(FileCheck(name, rows, rows_again, (inputs or {}).get(name)))
            if name not in publication.names:
                checks[-1].found(None, "It is gone.")
                continue
            checks[-1].check_file(publication.path(name), publication.files[name])
            if inputs is not None:
                checks[-1].check_input()
        rows.score()
        return checks

    done = rows = again = 0
    without_text: list[str] = []
    progress("files", 0, len(publication.files))
    with ThreadPoolExecutor(scorer.threads + 1, thread_name_prefix="verify") as pool:
        for checks in pool.map(check, _groups(publication.files)):
            for checked in checks:
                done += 1
                problems += checked.problems
                rows, again = rows + checked.rows, again + checked.scored_again
                without_text += [checked.name] if checked.is_without_text else []
            progress("files", done, len(publication.files))
    return Verification(
        publication.model_id,
        scorer.bundle.engine.name,
        len(publication.files),
        rows,
        again,
        tuple(problems),
        tuple(without_text),
    )


def _groups(files: Mapping[str, ListedFile]) -> Iterator[list[str]]:
    """Yield the names of files that are checked together: many if they have few rows."""
    group: list[str] = []
    rows = 0
    for name, listed in files.items():
        group.append(name)
        rows += listed.rows if isinstance(listed.rows, int) else CHUNK_ROWS
        if rows >= CHUNK_ROWS or len(group) == MOST_TOGETHER:
            yield group
            group, rows = [], 0
    if group:
        yield group


def _inputs(publication: Publication, source: str) -> dict[str, str]:
    """Return the locations of an input's files by the names of their outputs."""
    files = find_files(source)
    if not publication.is_single_file:
        return {name: path for path, name in files}
    if len(files) > 1:
        # One file of a folder says nothing about the others. A pair has no common name.
        place = spelled(storage_of(publication.output).absolute(publication.output))
        files = sorted((f for f in files if place.endswith(f"/{f[1]}")), key=lambda f: len(f[1]))
    return dict.fromkeys(publication.files, files[-1][0]) if files else {}
