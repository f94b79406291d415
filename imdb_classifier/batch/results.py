"""What a batch run did, file by file and in total."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from imdb_classifier.errors import EXIT_DONE, EXIT_PARTIAL
from imdb_classifier.monitoring.drift import Drift

COUNTS: Final = ("rows", "positive", "negative", "without_text", "truncated")
"""What is counted for each file, see `FileResult`."""


@dataclass(frozen=True)
class FileResult:
    """What happened to one file.

    Attributes:
        name: Its path relative to the input.
        status: ``scored``; ``reused`` if its output was up to date already; ``skipped`` if the
            selection leaves it out; ``pending`` if the run stopped before it was scored; or
            ``failed``.
        rows: Rows in it.
        positive: Rows labeled positive.
        negative: Rows labeled negative.
        without_text: Rows whose text is null, empty or blank.
        truncated: Rows whose text is longer than the model reads, and was truncated at the front.
        output: Its output, or None if it was not scored.
        error: Why it failed, else None.
        exit_code: The exit code for the error, else 0.
    """

    name: str
    status: Literal["scored", "reused", "skipped", "pending", "failed"]
    rows: int = 0
    positive: int = 0
    negative: int = 0
    without_text: int = 0
    truncated: int = 0
    output: str | None = None
    error: str | None = None
    exit_code: int = 0


@dataclass(frozen=True)
class RunResult:
    """What a whole run did.

    Attributes:
        model_id: The model that scored all files.
        files: One result for each file, sorted by name.
        drift: How far the batch is from the model's reference; None if not all files are scored or
            the model has no reference.
    """

    model_id: str
    files: tuple[FileResult, ...]
    drift: Drift | None = None

    def of_status(self, status: str) -> tuple[FileResult, ...]:
        """Return the files with a status, see `FileResult`."""
        return tuple(file for file in self.files if file.status == status)

    @property
    def failed(self) -> tuple[FileResult, ...]:
        """The files that could not be scored."""
        return self.of_status("failed")

    @property
    def exit_code(self) -> int:
        """0 if every file is scored; a failed file's own code if all failed; else 75."""
        if len(self.failed) == len(self.files) > 0:
            return self.failed[0].exit_code
        done = len(self.of_status("scored")) + len(self.of_status("reused"))
        return EXIT_DONE if done == len(self.files) else EXIT_PARTIAL

    def totals(self) -> dict[str, int]:
        """Return the number of files, of rows, and of each kind of result."""
        return {
            "files": len(self.files),
            **{name: len(self.of_status(name)) for name in ("failed", "skipped", "pending")},
            **{column: sum(getattr(file, column) for file in self.files) for column in COUNTS},
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return {
            "model_id": self.model_id,
            "totals": self.totals(),
            "files": [asdict(file) for file in self.files],
            "drift": self.drift and self.drift.to_dict(),
        }
