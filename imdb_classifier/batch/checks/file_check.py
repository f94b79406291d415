"""Whether one scored file is still what scoring wrote, and its input what was scored."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imdb_classifier.batch.checks.published_output import ListedFile
from imdb_classifier.batch.checks.rows_again import RowsAgain, SaidRows
from imdb_classifier.batch.inputs.reader import ScoredTexts, open_rows, text_path
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.outputs.appended_copy import copied_bytes
from imdb_classifier.batch.outputs.provenance import provenance_in
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.errors import BadDataError, UnreadableFileError
from imdb_classifier.schema import NEGATIVE, POSITIVE, scored_fields
from imdb_classifier.scoring.text_columns import count_of, has_text, labels
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import sha256_of
from imdb_classifier.system_errors import cannot_read


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


class FileCheck:
    """The check of one scored file.

    Args:
        name: The file's name.
        rows_again: Where its rows wait to be scored again; its problems are complete only then.
        rows_wanted: Number of its rows to score again, spread over the file.
        source: Its input, if that is known.

    Attributes:
        name: The file's name.
        problems: What is wrong.
        rows: How many rows it has.
        scored_again: How many of these are scored again.
        is_without_text: Whether its scores cannot be checked, because its text was left out and its
            input is not known.
    """

    def __init__(
        self, name: str, rows_again: RowsAgain, rows_wanted: int, source: str | None
    ) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.rows = 0
        self.scored_again = 0
        self.is_without_text = False
        self._rows_again = rows_again
        self._rows_wanted = rows_wanted
        self._source = source
        self._provenance: dict[str, Any] | None = None
        self._misscored: int | None = None
        self._misreasoned: int | None = None

    def found(self, row: int | None, what: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(self.name, row, what))

    def check_file(self, path: str, listed: ListedFile) -> None:
        """Look for problems of the file itself.

        Args:
            path: The file.
            listed: What the manifest says about it.

        Raises:
            UnavailableError: It cannot be reached.
        """
        model = self._rows_again.scorer.bundle
        try:
            with storage_of(path).reading(path) as copy:
                end = FileFooter.read(copy, self.name)
                said = self._provenance = provenance_in(end)
                if said is None:
                    self.found(None, "Not written by imdb-classifier, or its footer is unreadable.")
                elif said["model_hash"] != model.model_hash:
                    self.found(None, f"Another model scored it: {said['model_id']}.")
                else:
                    self._check_bytes(copy, end, listed, said)
                    self._check_rows(copy, end, said)
        except BadDataError as error:
            self.found(None, str(error))
        except OSError as error:
            raise cannot_read(path, error) from error

    def check_input(self) -> None:
        """Look for problems of the file that it was scored from.

        Raises:
            UnavailableError: It cannot be reached.
        """
        path, said = self._source, self._provenance
        if path is None:
            self.found(None, "Its input is gone.")
            return
        if said is None:
            return
        is_rewritten = said["options"]["on_null"] == "skip"
        columns = None if is_rewritten else said["options"]["columns"]
        try:
            with storage_of(path).open(path) as stream:
                footer = FileFooter.of(stream, path)
                # What has this digest could be scored, so its footer is whole.
                is_same = footer.digest == said["input_footer"]
                if is_same:
                    tree = None if columns is None else footer.tree()
                    copied, digest = 0, sha256()
                    for piece in copied_bytes(stream, footer, tree, columns):
                        copied += len(piece)
                        digest.update(piece)
            if not is_same or digest.hexdigest() != said["input_sha256"]:
                self.found(None, "Its input is no longer what was scored.")
            elif copied != said["copied_bytes"] and not is_rewritten:
                self.found(None, "It does not begin with the bytes of its input.")
        except UnreadableFileError as error:
            self.found(None, str(error))
        except OSError as error:
            raise cannot_read(path, error) from error

    def _check_bytes(
        self, copy: str, end: FileFooter, listed: ListedFile, said: Mapping[str, Any]
    ) -> None:
        """Look for bytes that are not those that were written."""
        if listed.footer_digest not in (None, end.digest):
            self.found(None, "Its footer does not match the manifest.")
        copied = said["copied_bytes"]
        if copied and sha256_of(Path(copy), 0, copied) != said["input_sha256"]:
            self.found(None, "The bytes of its input changed.")
        if sha256_of(Path(copy), copied, end.begins_at) != said["added_sha256"]:
            self.found(None, "The bytes of its new columns changed.")

    def _check_rows(self, copy: str, end: FileFooter, said: Mapping[str, Any]) -> None:
        """Look for a wrong label and for wrong counts, and let rows wait to be scored again."""
        options = ScoreOptions(**said["options"])
        names = [field.name for field in scored_fields(options.prefix, options.reason)]
        if not set(names) <= set(end.schema.names):
            self.found(None, "Its new columns are missing.")
            return
        counts = dict.fromkeys((POSITIVE, NEGATIVE, "without_text"), 0)
        mislabeled = None
        with ExitStack() as opened:
            reader = opened.enter_context(open_rows(copy, end))
            last = max(reader.rows - 1, 0)
            chosen = np.unique(np.linspace(0, last, self._rows_wanted).astype(np.int64))
            texts_of_input = None
            if options.keeps_text:
                path = text_path(end, options.text_column)
            else:
                path = names[:1]
                texts_of_input = self._texts_of_input(said, options)
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
                if mislabeled is None and (at := off.index(True).as_py()) >= 0:
                    mislabeled = self.rows + at
                here = chosen[(chosen >= self.rows) & (chosen < self.rows + len(texts))]
                if len(here):
                    taken = here - self.rows
                    self._rows_again.add(
                        SaidRows(
                            here,
                            texts.take(taken),
                            probability.take(taken),
                            reason[0].take(taken) if reason else None,
                            options.at_least,
                            self._compared,
                        )
                    )
                for name in (POSITIVE, NEGATIVE):
                    counts[name] += count_of(label, name)
                counts["without_text"] += probability.null_count
                self.rows += len(texts)
                self.scored_again += len(here)
        if mislabeled is not None:
            self.found(mislabeled, "Its label, probability and text do not agree.")
        said_counts = {column: said["rows"][column] for column in counts}
        if options.on_null == "skip":
            said_counts["without_text"] = 0
        if counts != said_counts:
            self.found(None, "Its row counts differ from its footer.")

    def _compared(self, misscored: int | None, misreasoned: int | None) -> None:
        """Add the first row with another score, and the first with another reason."""
        if misscored is not None and self._misscored is None:
            self._misscored = misscored
            self.found(misscored, "The model gives its text another probability.")
        if misreasoned is not None and self._misreasoned is None:
            self._misreasoned = misreasoned
            self.found(misreasoned, "Its reason is not that of its text.")

    def _texts_of_input(self, said: Mapping[str, Any], options: ScoreOptions) -> ScoredTexts | None:
        """Return the texts of its input, if that is known and still what was scored."""
        if self._source is None:
            return None
        try:
            end = FileFooter.read(self._source)
        except UnreadableFileError:
            return None
        is_same = end.digest == said["input_footer"]
        return ScoredTexts(self._source, end, options) if is_same else None
