"""Whether scored files are still what scoring wrote: sums, counts, one model, and rows again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imdb_classifier.batch.inputs.discovery import find_files
from imdb_classifier.batch.inputs.reader import ScoredTexts, open_rows, text_path
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.outputs.appended_copy import copied_bytes
from imdb_classifier.batch.outputs.provenance import provenance_in
from imdb_classifier.batch.outputs.publication import Publication
from imdb_classifier.batch.parquet_footer.added_columns import extendable
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.errors import (
    EXIT_BAD_DATA,
    EXIT_DONE,
    BadDataError,
    UnreadableFileError,
    printable,
)
from imdb_classifier.model.engines import EngineChoice, EngineName
from imdb_classifier.progress import Progress
from imdb_classifier.registry.versions import Registry
from imdb_classifier.schema import NEGATIVE, POSITIVE, scored_fields
from imdb_classifier.scoring.row_reasons import reasons
from imdb_classifier.scoring.scorer import Scorer, scorer_for
from imdb_classifier.scoring.text_columns import count_of, has_text, labels
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import sha256_of
from imdb_classifier.storage.paths import StrPath, location_of
from imdb_classifier.system_errors import cannot_read

SCORE_TOLERANCE: Final = 1e-5
"""How far apart the scores of one text may be, on processors of different kinds."""


@dataclass(frozen=True)
class Problem:
    """Something that is not as it was.

    Attributes:
        file: The file's name.
        row: The first row it concerns, from 0; None where it concerns the file.
        what: What is wrong, as a sentence.
    """

    file: str
    row: int | None
    what: str


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
        progress: Called in this thread after each file with ``"files"``, the number of files
            checked, and the number of files.

    Returns:
        What was checked, and what is wrong. Its ``exit_code`` is 0 if nothing is.

    Raises:
        NoInputError: The output is no such file or folder, or its input is gone altogether.
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
        return _verify(publication, scorer, named, rows_again, progress or (lambda *_: None))


def _verify(
    publication: Publication,
    scorer: Scorer,
    source: str | None,
    rows_again: int,
    progress: Progress,
) -> Verification:
    paths = publication.paths()
    inputs = _inputs(publication, source) if source else None
    problems = [
        Problem(
            name,
            None,
            "Its input is gone; delete it with `prune`."
            if name in publication.orphans
            else "The manifest does not list it.",
        )
        for name in sorted(paths.keys() - publication.files.keys())
    ]
    if inputs is not None:
        unscored = sorted(inputs.keys() - publication.files.keys() - publication.unscored)
        problems += [
            Problem(name, None, "It is in the input, and not scored.") for name in unscored
        ]

    def check(name: str) -> tuple[list[Problem], _FileCheck | None]:
        if name not in paths:
            return [Problem(name, None, "It is gone.")], None
        check = _FileCheck(name, paths[name], scorer, rows_again, (inputs or {}).get(name))
        found = list(check.problems(publication.files[name]))
        if inputs is not None:
            found += check.problems_of_input()
        return found, check

    rows = again = 0
    without_text: list[str] = []
    progress("files", 0, len(publication.files))
    with ThreadPoolExecutor(scorer.threads + 1, thread_name_prefix="verify") as pool:
        for done, (found, checked) in enumerate(pool.map(check, publication.files), 1):
            progress("files", done, len(publication.files))
            problems += found
            if checked is not None:
                rows, again = rows + checked.rows, again + checked.scored_again
                without_text += [checked.name] if checked.is_without_text else []
    return Verification(
        publication.model_id,
        scorer.bundle.engine.name,
        len(publication.files),
        rows,
        again,
        tuple(problems),
        tuple(without_text),
    )


def _inputs(publication: Publication, source: str) -> dict[str, str]:
    """Return the locations of an input's files by the names of their outputs."""
    files = find_files(source)
    if not publication.is_single_file:
        return {name: path for path, name in files}
    if len(files) > 1:
        # One file of a folder says nothing about the others. A pair has no common name.
        place = printable(storage_of(publication.output).absolute(publication.output))
        files = sorted((f for f in files if place.endswith(f"/{f[1]}")), key=lambda f: len(f[1]))
    return dict.fromkeys(publication.files, files[-1][0]) if files else {}


class _FileCheck:
    """The problems of one scored file; `source` is its input, if that is known."""

    def __init__(
        self,
        name: str,
        path: str,
        scorer: Scorer,
        rows_again: int,
        source: str | None,
    ) -> None:
        self.name = name
        self.rows = 0
        self.scored_again = 0
        self.is_without_text = False
        self._source = source
        self._path = path
        self._scorer = scorer
        self._rows_again = rows_again
        self._footer: dict[str, Any] | None = None

    def problems(self, listed: Mapping[str, Any]) -> Iterator[Problem]:
        """Those of the file itself; `listed` is what the manifest says of it, or empty."""
        try:
            with storage_of(self._path).reading(self._path) as copy:
                end = FileFooter.read(copy, self.name)
                self._footer = provenance_in(end)
                if self._footer is None:
                    what = "Not written by imdb-classifier, or its footer is unreadable."
                    yield Problem(self.name, None, what)
                elif self._footer["model_hash"] != self._scorer.bundle.model_hash:
                    what = f"Another model scored it: {self._footer['model_id']}."
                    yield Problem(self.name, None, what)
                else:
                    yield from self._problems_of_bytes(copy, end, listed, self._footer)
                    yield from self._problems_of_rows(copy, end, self._footer)
        except BadDataError as error:
            yield Problem(self.name, None, str(error))
        except OSError as error:
            raise cannot_read(self._path, error) from error

    def _problems_of_bytes(
        self, copy: str, end: FileFooter, listed: Mapping[str, Any], footer: Mapping[str, Any]
    ) -> Iterator[Problem]:
        """Bytes that are not those that were written."""
        if listed and end.digest != listed.get("footer_digest"):
            yield Problem(self.name, None, "Its footer does not match the manifest.")
        copied = footer["copied_bytes"]
        if copied and sha256_of(Path(copy), 0, copied) != footer["input_sha256"]:
            yield Problem(self.name, None, "The bytes of its input changed.")
        if sha256_of(Path(copy), copied, end.begins_at) != footer["added_sha256"]:
            yield Problem(self.name, None, "The bytes of its new columns changed.")

    def _problems_of_rows(
        self, copy: str, end: FileFooter, footer: Mapping[str, Any]
    ) -> Iterator[Problem]:
        """The first row with a wrong label, the first with a wrong score, and wrong counts."""
        options = ScoreOptions(**footer["options"])
        names = [field.name for field in scored_fields(options.prefix, options.reason)]
        counts = dict.fromkeys(("all", "positive", "negative", "without_text"), 0)
        mislabelled = misscored = misreasoned = None
        if not set(names) <= set(end.schema.names):
            yield Problem(self.name, None, "Its new columns are missing.")
            return
        with ExitStack() as opened:
            reader = opened.enter_context(open_rows(copy, end))
            last = max(reader.rows - 1, 0)
            chosen = np.unique(np.linspace(0, last, self._rows_again).astype(np.int64))
            texts_of_input = None
            if options.keeps_text:
                path = text_path(end, options.text_column)
            else:
                path = names[:1]
                texts_of_input = self._texts_of_input(footer, options)
                if texts_of_input is None:
                    self.is_without_text = True
                    chosen = chosen[:0]
                else:
                    opened.enter_context(texts_of_input)
            for chunk in reader.chunks(path, names):
                texts = chunk.texts
                if texts_of_input is not None:
                    texts = texts_of_input.take(len(texts))
                label, probability, *reason = (
                    pa.concat_arrays([batch.column(name) for batch in chunk.batches])
                    for name in names
                )
                expected = labels(probability, options.at_least, options.unsure_label)
                off = pc.or_(
                    pc.not_equal(label.is_valid(), expected.is_valid()),
                    pc.fill_null(pc.not_equal(label, expected), False),
                )
                if not self.is_without_text:
                    scorable = pc.fill_null(has_text(texts), False)
                    off = pc.or_(off, pc.not_equal(scorable, probability.is_valid()))
                if mislabelled is None and (at := off.index(True).as_py()) >= 0:
                    mislabelled = self.rows + at
                here = chosen[(chosen >= self.rows) & (chosen < self.rows + len(texts))] - self.rows
                pending = self._scorer.start(texts.take(here))
                again = pending.result().to_numpy(zero_copy_only=False)
                said = probability.take(here).to_numpy(zero_copy_only=False)
                for column in reason:
                    why = reasons(pending.remarks(), probability.take(here), options.at_least)
                    other = pc.fill_null(pc.not_equal(why, column.take(here)), True)
                    if misreasoned is None and (at := other.index(True).as_py()) >= 0:
                        misreasoned = self.rows + int(here[at])
                far = ~np.isclose(again, said, rtol=0, atol=SCORE_TOLERANCE, equal_nan=True)
                if misscored is None and far.any():
                    misscored = self.rows + int(here[far][0])
                for name in (POSITIVE, NEGATIVE):
                    counts[name] += count_of(label, name)
                counts["without_text"] += probability.null_count
                self.rows += len(texts)
                self.scored_again += len(here)
        if mislabelled is not None:
            yield Problem(self.name, mislabelled, "Its label, probability and text do not agree.")
        if misreasoned is not None:
            yield Problem(self.name, misreasoned, "Its reason is not that of its text.")
        if misscored is not None:
            yield Problem(self.name, misscored, "The model gives its text another probability.")
        said_counts = {column: footer["rows"][column] for column in counts}
        if options.on_null == "skip":
            said_counts["without_text"] = 0
        counts["all"] = said_counts["all"] = 0
        if counts != said_counts:
            yield Problem(self.name, None, "Its row counts differ from its footer.")

    def _texts_of_input(
        self, footer: Mapping[str, Any], options: ScoreOptions
    ) -> ScoredTexts | None:
        """The texts of its input, if that is known and still what was scored."""
        if self._source is None:
            return None
        try:
            end = FileFooter.read(self._source)
        except UnreadableFileError:
            return None
        is_same = end.digest == footer["input_footer"]
        return ScoredTexts(self._source, end, options) if is_same else None

    def problems_of_input(self) -> Iterator[Problem]:
        """Those of the file that it was scored from."""
        if self._source is None:
            yield Problem(self.name, None, "Its input is gone.")
        elif self._footer is not None:
            path = self._source
            is_rewritten = self._footer["options"]["on_null"] == "skip"
            columns = None if is_rewritten else self._footer["options"]["columns"]
            try:
                with storage_of(path).open(path) as stream:
                    footer = FileFooter.of(stream, path)
                    copied, digest = 0, sha256()
                    for piece in copied_bytes(stream, footer, extendable(footer), columns):
                        copied += len(piece)
                        digest.update(piece)
                if (
                    footer.digest != self._footer["input_footer"]
                    or digest.hexdigest() != self._footer["input_sha256"]
                ):
                    yield Problem(self.name, None, "Its input is no longer what was scored.")
                elif copied != self._footer["copied_bytes"] and not is_rewritten:
                    yield Problem(self.name, None, "It does not begin with the bytes of its input.")
            except UnreadableFileError as error:
                yield Problem(self.name, None, str(error))
            except OSError as error:
                raise cannot_read(path, error) from error
