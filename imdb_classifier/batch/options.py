"""Options of a batch run: which columns, which files, and when to stop early.

The command line takes its help texts from the attributes' descriptions here, and its defaults from
the fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from imdb_classifier.errors import ConfigurationError
from imdb_classifier.schema import DEFAULT_PREFIX, TEXT, check_unsure

OnNull = Literal["label", "skip", "error"]
Only = Literal["new", "stale", "new,stale"]


@dataclass(frozen=True)
class ScoreOptions:
    """Options that determine an output, besides the model and the input.

    Attributes:
        text_column: Column that holds the text; for a field of a struct, the names joined by dots.
        prefix: Prefix for the new columns.
        on_null: What happens to rows whose text is null, empty or blank: ``label`` keeps them with
            nulls, ``skip`` leaves them out, ``error`` refuses the file.
        quarantine: List rows and files that could not be scored as CSV, in the output's
            ``_quarantine`` folder.
        columns: Write only these columns and the new ones, in the order of the input; the text
            column only if it is listed. Default: all columns.
        at_least: Label only texts whose label has at least this confidence, from 0.5 to 1; all
            keep their probability. Default: label every text.
        unsure_label: Label for texts below at_least. Default: no label (null).
        reason: Add a column that says why a row has its label, or none: scored, blank, truncated,
            mostly unknown words, or unsure.

    Raises:
        ConfigurationError: ``columns`` is empty, or lists a column twice; ``at_least`` is no
            confidence; or ``unsure_label`` is given without it, is empty, or is one of the labels.
    """

    text_column: str = TEXT
    prefix: str = DEFAULT_PREFIX
    on_null: OnNull = "label"
    quarantine: bool = False
    columns: Sequence[str] | None = None
    at_least: float | None = None
    unsure_label: str | None = None
    reason: bool = False

    def __post_init__(self) -> None:
        if self.on_null not in get_args(OnNull):
            raise ConfigurationError(
                "`on_null` must be label, skip or error.",
                f"It is {self.on_null!r}.",
                "Choose one of these.",
            )
        check_unsure(self.at_least, self.unsure_label)
        if self.at_least is not None:
            object.__setattr__(self, "at_least", float(self.at_least))
        if self.columns is None:
            return
        named = self.columns
        if isinstance(named, str) or not named or len(set(named)) < len(named):
            raise ConfigurationError(
                "`columns` must list at least one column, and none twice.",
                f"Received {named!r}.",
                "Name each column once, for example `columns=id,stars`.",
            )
        # As it is once it was stored as JSON; the order of columns is that of the input.
        object.__setattr__(self, "columns", sorted(named))

    @property
    def keeps_text(self) -> bool:
        """Whether the text column is among the columns of an output."""
        column = self.text_column
        return self.columns is None or not {column, column.split(".")[0]}.isdisjoint(self.columns)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as outputs record them."""
        values = asdict(self)
        # These options are younger than the format: without them, outputs keep their bytes.
        if self.at_least is None:
            del values["at_least"], values["unsure_label"]
        if not self.reason:
            del values["reason"]
        return values


@dataclass(frozen=True)
class Selection:
    """Which files are scored, and which outputs are deleted, depending on existing outputs.

    Attributes:
        only: ``new``, ``stale`` or ``new,stale``: files without an output; files whose model, input
            or options changed. Default: new files, and an error for stale ones.
        force: Re-score every file, regardless of only. Never replaces files that imdb-classifier
            did not write.
        prune: Delete outputs whose input no longer exists. Never deletes files that
            imdb-classifier did not write.

    Raises:
        ConfigurationError: ``only`` is something else.
    """

    only: Only | None = None
    force: bool = False
    prune: bool = False

    def __post_init__(self) -> None:
        if self.only not in (None, *get_args(Only)):
            raise ConfigurationError(
                "`only` must be new, stale or new,stale.",
                f"It is {self.only}.",
                "Use one of these, or leave it out.",
            )

    @property
    def new(self) -> bool:
        """Whether files without an output are scored."""
        return self.force or self.only != "stale"

    @property
    def stale(self) -> Literal["refuse", "skip", "replace"]:
        """What happens to files whose model, input or options changed."""
        if self.force or self.only in ("stale", "new,stale"):
            return "replace"
        return "refuse" if self.only is None else "skip"


@dataclass(frozen=True)
class Limits:
    """When a run stops early, and when it is complete although files are bad.

    Attributes:
        deadline: Time budget, e.g. 45m or 1h30m. Finished files are kept; rerun to continue.
        max_bad_files: Stop once more than this many files have failed; in flows, per unit of work.
        accept_bad_files: Complete the run even if up to this many files are unreadable or unfit;
            the manifest names them.

    Raises:
        ConfigurationError: A limit is out of range, or the deadline is not a duration.
    """

    deadline: str | None = None
    max_bad_files: int | None = None
    accept_bad_files: int = 0

    def __post_init__(self) -> None:
        for name in ("max_bad_files", "accept_bad_files"):
            number = getattr(self, name)
            if number is not None and number < 0:
                raise ConfigurationError(
                    f"`{name}` must be at least 0.", f"It is {number}.", f"Choose another `{name}`."
                )
        if self.deadline is not None:
            _seconds(self.deadline)

    @property
    def seconds(self) -> float | None:
        """The deadline in seconds from the start of the run; None for no deadline."""
        return None if self.deadline is None else _seconds(self.deadline)


def _seconds(deadline: str) -> float:
    from pandas import Timedelta

    try:
        if deadline.strip().replace(".", "").isdigit():
            raise ValueError
        seconds = float(Timedelta(deadline).total_seconds())
        if not seconds > 0:
            raise ValueError
    except ValueError:
        raise ConfigurationError(
            "A deadline must be a positive number with a unit.",
            f"'{deadline}' is not.",
            "Use, for example, `deadline=45m` or `deadline=1h30m`.",
        ) from None
    return seconds
