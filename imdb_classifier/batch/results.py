"""What a batch run did, file by file and in total."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, Self

from imdb_classifier.batch.inputs.file_names import IgnoredFile, ignored_summary
from imdb_classifier.errors import (
    EXIT_BAD_DATA,
    EXIT_DONE,
    EXIT_PARTIAL,
    counted,
    listed,
)
from imdb_classifier.model.engines import EngineName
from imdb_classifier.monitoring.drift import Drift
from imdb_classifier.monitoring.expected_accuracy import ExpectedAccuracy
from imdb_classifier.text.batch_profile import BatchProfile

COUNTS: Final = ("rows", "positive", "negative", "without_text", "truncated")
"""What is counted for each file, see `FileResult`."""

FileStatus = Literal["scored", "reused", "skipped", "outdated", "pending", "failed"]
STATUSES: Final[tuple[FileStatus, ...]] = (
    "scored", "reused", "skipped", "outdated", "pending", "failed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileResult:
    """What happened to one file.

    Attributes:
        name: Its path relative to the input.
        status: ``scored``; ``reused`` if its output was up to date already; ``skipped`` if it has
            no output and the selection leaves it out; ``outdated`` if the selection keeps its
            output, which was scored from another model, input or options; ``pending`` if the run
            stopped before it was scored; or ``failed``.
        rows: Rows in it.
        positive: Rows labeled positive.
        negative: Rows labeled negative.
        without_text: Rows whose text is null, empty or blank.
        truncated: Rows whose text is longer than the model reads, and was truncated at the front.
        output: Its output, up to date or not; None if there is none.
        footer_digest: SHA-256 (hexadecimal) of the length and footer of an output that is up to
            date, else None.
        error: Why it failed, else None.
        exit_code: The exit code for the error, else 0.
        may_pass: Whether a retry may help, because a system or a server is at fault.
    """

    name: str
    status: FileStatus
    rows: int = 0
    positive: int = 0
    negative: int = 0
    without_text: int = 0
    truncated: int = 0
    output: str | None = None
    footer_digest: str | None = None
    error: str | None = None
    exit_code: int = 0
    may_pass: bool = False

    @property
    def unsure(self) -> int:
        """Rows whose confidence is below ``at_least``, see `ScoreOptions`."""
        return self.rows - self.positive - self.negative - self.without_text

    @property
    def is_finished(self) -> bool:
        """Whether its output is up to date."""
        return self.status in ("scored", "reused")

    @property
    def is_bad(self) -> bool:
        """Whether its data is at fault, and no older output could be taken for its own."""
        return self.exit_code == EXIT_BAD_DATA and self.output is None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return {**asdict(self), "unsure": self.unsure}


@dataclass(frozen=True)
class UnitResult:
    """What happened to the files of a unit.

    Attributes:
        files: One result for each file, in order.
        profile: What the texts of those that were scored look like.
        engine: The engine that scored them.
    """

    files: tuple[FileResult, ...]
    profile: BatchProfile
    engine: EngineName

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the result that `to_dict` describes."""
        files = (FileResult(**file) for file in values["files"])
        return cls(tuple(files), BatchProfile.from_dict(values["profile"]), values["engine"])

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return asdict(self)

    def updated(self, positions: Sequence[int], repeated: Self) -> Self:
        """Return the result with that of files at some positions, which failed, replaced."""
        files = list(self.files)
        for position, file in zip(positions, repeated.files, strict=True):
            files[position] = file
        return replace(self, files=tuple(files), profile=self.profile + repeated.profile)


@dataclass(frozen=True)
class RunResult:
    """What a whole run did.

    Attributes:
        model_id: The model that scored the files.
        files: One result for each file, sorted by name.
        ignored: Files of the input folder that might be data and were not scored.
        orphans: Outputs without an input, by name: left over from inputs that no longer exist.
        pruned: Those of them that the run deleted.
        is_complete: Whether all outputs are up to date. Files without an output may be missing if
            they are bad and accepted or, in a folder that was complete before, if the selection
            leaves them out.
        is_marked: Whether a folder is marked as complete, which one without changes stays although
            outputs are outdated; true for a single file.
        accept_bad_files: Number of bad files that are no failure, see `Limits`.
        drift: How far the rows that this run scored are from the model's reference; None if it
            scored none or the model has no reference.
        output_drift: The same for all rows of the output; None if it is not complete.
        engines: The engines that scored files, sorted; several if workers have different ones.
    """

    model_id: str
    files: tuple[FileResult, ...]
    ignored: tuple[IgnoredFile, ...] = ()
    orphans: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()
    is_complete: bool = False
    is_marked: bool = False
    accept_bad_files: int = 0
    drift: Drift | None = None
    output_drift: Drift | None = None
    engines: tuple[EngineName, ...] = ()

    def of_status(self, status: FileStatus) -> tuple[FileResult, ...]:
        """Return the files with a status, see `FileResult`."""
        return tuple(file for file in self.files if file.status == status)

    @property
    def failed(self) -> tuple[FileResult, ...]:
        """The files that could not be scored."""
        return self.of_status("failed")

    @property
    def exit_code(self) -> int:
        """0 if everything that was asked for is done.

        If all files failed, the first one's code; if some failed or are pending, 75.
        """
        failed = self.failed
        if len(failed) == len(self.files) > 0:
            return failed[0].exit_code
        accepted = len(failed) <= self.accept_bad_files and all(file.is_bad for file in failed)
        return EXIT_DONE if accepted and not self.of_status("pending") else EXIT_PARTIAL

    @property
    def expected_accuracy(self) -> ExpectedAccuracy | None:
        """The accuracy to expect of the rows that this run scored; None if that is not known."""
        return self.drift.expected_accuracy if self.drift else None

    @property
    def summary(self) -> str:
        """What the run did, as one sentence."""
        totals = self.totals()
        others = (
            f", {counted(totals[status], 'file')} {status}"
            for status in STATUSES
            if status != "scored" and totals[status]
        )
        return (
            f"{counted(totals['scored_rows'], 'row')} in {counted(totals['scored'], 'file')} "
            f"scored by {self.model_id}{''.join(others)}."
        )

    def notes(self) -> list[str]:
        """Return sentences about files that are neither scored nor failed, and need attention."""
        totals = self.totals()
        notes = []
        if totals["pending"]:
            pending = counted(totals["pending"], "file")
            notes.append(f"Stopped early: {pending} pending. Rerun to continue.")
        if totals["skipped"]:
            skipped = counted(totals["skipped"], "file")
            notes.append(f"{skipped} without an output skipped: only stale files were selected.")
        if totals["outdated"]:
            kept = counted(totals["outdated"], "output")
            notes.append(
                f"{kept} kept although outdated (model, input or options changed). Re-score with "
                "`only=new,stale`."
            )
        if not self.is_marked and self.exit_code == EXIT_DONE:
            notes.append("The output is not marked as complete.")
        if self.ignored:
            notes.append(f"{ignored_summary(self.ignored)}.")
        if self.pruned:
            pruned = counted(len(self.pruned), "output")
            notes.append(f"{pruned} without an input deleted: {listed(self.pruned)}.")
        elif self.orphans:
            notes.append(orphans_note(self.orphans))
        return notes

    def totals(self) -> dict[str, int]:
        """Return the number of files, in total and by status, and of rows.

        ``scored_rows`` are those that this run scored; all other rows are those of all outputs that
        are up to date.
        """
        return {
            "files": len(self.files),
            **{status: len(self.of_status(status)) for status in STATUSES},
            "scored_rows": sum(file.rows for file in self.of_status("scored")),
            **{
                column: sum(getattr(file, column) for file in self.files)
                for column in (*COUNTS, "unsure")
            },
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return {**self.outline(), "files": [file.to_dict() for file in self.files]}

    def outline(self) -> dict[str, Any]:
        """Return what `to_dict` does, with the files as they are, which takes less memory."""
        return {
            "model_id": self.model_id,
            "engines": list(self.engines),
            "totals": self.totals(),
            "is_complete": self.is_complete,
            "accept_bad_files": self.accept_bad_files,
            "files": self.files,
            "ignored": [asdict(file) for file in self.ignored],
            "orphans": list(self.orphans),
            "pruned": list(self.pruned),
            "drift": self.drift and self.drift.to_dict(),
            "output_drift": self.output_drift and self.output_drift.to_dict(),
        }


def orphans_note(orphans: Sequence[str]) -> str:
    """Return a sentence about outputs whose input no longer exists, by their names."""
    return (
        f"{counted(len(orphans), 'output')} without an input: {listed(orphans)}. Delete with "
        "`prune`, or restore the input."
    )
