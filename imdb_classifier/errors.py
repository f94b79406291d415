"""Every error this library raises on purpose.

Each class builds its own text from what went wrong, always in three parts: the rule that was
broken, what came instead, and the way out. Each carries the exit code (after BSD ``sysexits.h``)
with which the command line ends. No message ever holds review text, and whatever names it holds,
it is one line of printable characters.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

EXIT_DONE = 0
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_BAD_DATA = 65
EXIT_NO_INPUT = 66
EXIT_INTERNAL = 70
EXIT_CANNOT_WRITE = 73
EXIT_PARTIAL = 75
EXIT_CONFIGURATION = 78

_PACKAGE: Final = Path(__file__).parent


def printable(text: str) -> str:
    r"""A name or a text of unknown origin on one line that does nothing to a terminal or a log.

    Control and formatting characters become escapes such as ``\n``, ``\x1b`` or ``\u202e``; so do
    the bytes of a file's name that are no UTF-8, which Python has as lone surrogates (PEP 383).
    """
    return "".join(
        character if character.isprintable() else _escaped(character) for character in text
    )


def _escaped(character: str) -> str:
    is_byte = 0xDC80 <= ord(character) <= 0xDCFF
    return ascii(chr(ord(character) - 0xDC00) if is_byte else character)[1:-1]


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, to stand inside a sentence."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


class ImdbClassifierError(ValueError):
    """Base of all errors below: ``except ImdbClassifierError`` catches whatever this library says.

    Args:
        rule: What must hold, as one sentence.
        received: What came instead, as one sentence.
        way_out: What the reader can do, as one or more sentences.
    """

    exit_code: int = EXIT_INTERNAL

    def __init__(self, rule: str, received: str, way_out: str) -> None:
        super().__init__(printable(f"{rule} {received} {way_out}"))

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders (Dask, process pools); pickle's default would call the
        # subclass' own signature with the finished text.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    cls: type[ImdbClassifierError], args: tuple[object, ...], state: dict[str, object]
) -> ImdbClassifierError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def described(error: Exception) -> str:
    """An unexpected exception's type, and its message where that cannot quote a review."""
    name = type(error).__name__
    return f"{name} ({first_line(error)})" if isinstance(error, ImportError) else name


class UnexpectedError(ImdbClassifierError):
    """An error that nobody foresaw: where it came from, mostly without its message.

    The message might quote a review; an import's cannot.
    """

    def __init__(self, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
        last = (ours or frames)[-1]
        super().__init__(
            "A step fails only in ways that are foreseen.",
            f"This one met {described(error)} in {Path(last.filename).name}, line {last.lineno}.",
            "Try again; if it happens again, report this line.",
        )


def _listed(names: Iterable[str], limit: int = 20) -> str:
    names = list(names)
    shown = ", ".join(names[:limit])
    rest = len(names) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown or "none"


class ConfigurationError(ImdbClassifierError):
    """A setting is outside its range or contradicts another one."""

    exit_code = EXIT_CONFIGURATION


class MissingExtraError(ImdbClassifierError):
    """A feature was asked for whose optional packages are not installed."""

    exit_code = EXIT_CONFIGURATION

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package {package}.",
            "It is not installed.",
            f"Install it with: pip install 'imdb-classifier[{extra}]'",
        )


class UnsupportedPackageError(ConfigurationError):
    """A package is installed in a release that this library does not work with."""

    def __init__(self, package: str, error: Exception) -> None:
        super().__init__(
            f"{package} must be a supported release.",
            f"{package} {version(package)} is installed, and fails with "
            f"{type(error).__name__}: {first_line(error)}.",
            f"Install a supported one with: pip install --upgrade imdb-classifier {package}",
        )


class NoInputError(ImdbClassifierError):
    """A named input does not exist, or holds nothing that can be read."""

    exit_code = EXIT_NO_INPUT


class NoReviewsError(NoInputError):
    """No IMDB reviews were named and none are cached."""

    def __init__(self, missing: str, cache: str) -> None:
        super().__init__(
            "Training and evaluation need the IMDB reviews.",
            f"{missing}, and nothing is downloaded unasked.",
            "Three ways out: name a local copy with --data or IMDB_CLASSIFIER_DATA; "
            "download it once with `imdb-classifier data fetch`; "
            f"or put the published file into {cache} yourself.",
        )


class DownloadError(NoReviewsError):
    """A published file was to be downloaded, and did not come."""

    def __init__(self, url: str, reason: str, target: str) -> None:
        ImdbClassifierError.__init__(
            self,
            f"{url} must be reachable and send the whole file.",
            f"It did not: {reason}; nothing was kept.",
            "Three ways out: name a local copy with --data or IMDB_CLASSIFIER_DATA; "
            "try `imdb-classifier data fetch` again; "
            f"or put the published file at {target} yourself.",
        )


class BadDataError(ImdbClassifierError):
    """Data came, but not in the form that was promised, or it failed a check."""

    exit_code = EXIT_BAD_DATA


class MissingColumnError(BadDataError):
    """A Parquet file or frame lacks a column that was asked for."""

    def __init__(self, column: str, source: str, available: Iterable[str], option: str) -> None:
        super().__init__(
            f"Column '{column}' is not in {source}.",
            f"Its columns: {_listed(available)}.",
            f"Name the text column with {option}.",
        )


class MissingReviewColumnError(MissingColumnError):
    """A Parquet file of labeled reviews lacks its text or its label column."""

    def __init__(self, column: str, source: str, available: Iterable[str]) -> None:
        ImdbClassifierError.__init__(
            self,
            f"Column '{column}' is not in {source}.",
            f"Its columns: {_listed(available)}.",
            "Labeled reviews need the columns text (the review) and label (0 or 1): rename them.",
        )


class AmbiguousColumnError(BadDataError):
    """Several columns have the name that was asked for."""

    def __init__(self, column: str, source: str, count: int, option: str) -> None:
        super().__init__(
            "The text column's name must be unique.",
            f"{source} has {count} columns named '{column}'.",
            f"Rename them, or name another column with {option}.",
        )


class TextTypeError(BadDataError):
    """The text column, or a list or array of texts, holds something that is not text."""

    def __init__(self, column: str | None, source: str, received: str, where: str = "") -> None:
        self.received = received
        named = f"Column '{column}' of {source}" if column is not None else source.capitalize()
        super().__init__(
            f"{named} must hold text: strings, or bytes in UTF-8.",
            f"It is {received}{where and f' in {where}'}.",
            f"Cast it to text first{', or name another column' if column is not None else ''}.",
        )


class UnsupportedDataError(BadDataError):
    """Data was to be scored that is no frame, table, array or sequence of texts."""

    def __init__(self, received: str, way_out: str) -> None:
        super().__init__(
            "score_dataframe takes a pandas or Polars DataFrame or Series, an Arrow table, record "
            "batch or array, a one-dimensional NumPy array, or a sequence of strings.",
            f"It was given {received}.",
            way_out,
        )


class ColumnExistsError(BadDataError):
    """An output column would overwrite an input column."""

    def __init__(self, columns: Iterable[str], source: str, option: str) -> None:
        super().__init__(
            "An input column is never overwritten.",
            f"{source} already has: {_listed(columns)}.",
            f"Choose another prefix for the new columns with {option}.",
        )


class UnreadableFileError(BadDataError):
    """A file is not Parquet, or a damaged one."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(
            f"{source} must be a readable Parquet file.",
            f"Reading it failed: {reason}.",
            "Write the file again, or leave it out of the input.",
        )


class ChecksumError(BadDataError):
    """A downloaded or stored file is not the one that was published."""

    def __init__(
        self,
        source: str,
        expected: str,
        received: str,
        way_out: str = "Delete the file and fetch it again.",
    ) -> None:
        super().__init__(
            f"{source} must have the published checksum {expected}.",
            f"It has {received}.",
            way_out,
        )


class BundleError(BadDataError):
    """A model bundle is damaged, incomplete, or from a newer release."""


class ExportError(BadDataError):
    """The exported model does not give the probabilities of the Keras model."""


class CannotWriteError(ImdbClassifierError):
    """An output cannot be created where it was asked for."""

    exit_code = EXIT_CANNOT_WRITE


def cannot_write(target: str, error: OSError) -> CannotWriteError:
    """What an error of the operating system means for an output."""
    return CannotWriteError(
        "The output must be writable.",
        f"Writing {target} failed: {error.strerror or first_line(error)}.",
        "Free some space, or name another OUTPUT.",
    )


class OutputExistsError(CannotWriteError):
    """Something else already stands where an output should go."""

    def __init__(self, target: str, reason: str, way_out: str) -> None:
        super().__init__(
            f"{target} must not exist yet, or be the result of this very run.",
            f"It is there, and {reason}.",
            way_out,
        )


class OutputInUseError(CannotWriteError):
    """Another run is writing to the same output."""

    def __init__(self, output: str) -> None:
        super().__init__(
            "Only one run at a time may write to an output.",
            f"Another one is at work on {output}.",
            "Wait until it has ended, or name another OUTPUT.",
        )


class UnapprovedModelError(ImdbClassifierError):
    """A version of the registry has not passed the promotion checks."""

    exit_code = EXIT_CONFIGURATION

    def __init__(self, model_id: str) -> None:
        super().__init__(
            "Versions that have not passed the promotion checks cannot be used for scoring.",
            f"{model_id} has not passed them.",
            f"Run imdb-classifier models promote {model_id}, or score with it anyway with "
            "--allow-unapproved.",
        )


class UnknownModelError(NoInputError):
    """A model reference names neither a path, a version nor an alias."""

    def __init__(self, reference: str, known: Iterable[str]) -> None:
        super().__init__(
            "A model is named by a path to a bundle, a version id, or @alias.",
            f"'{reference}' is none of these here. Known: {_listed(known)}.",
            "List the models with `imdb-classifier models list`.",
        )


class PartlyScoredError(ImdbClassifierError):
    """Some of several files could not be scored, or were not scored yet.

    Args:
        failed: Each failed file's name and error.
        skipped: How many files the selection left out.
        pending: How many files were not scored before the run stopped.
        files: How many files there are.
        exit_code: 75, or a file's own code if all failed.
        result: The `RunResult`.
    """

    def __init__(
        self,
        failed: Mapping[str, str],
        *,
        skipped: int,
        pending: int,
        files: int,
        exit_code: int,
        result: Any = None,
    ) -> None:
        self.exit_code = exit_code
        self.result = result
        shown = "; ".join(f"{name}: {error}" for name, error in list(failed.items())[:5])
        rest = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
        received = [
            f"{count} of {files} {status}"
            for count, status in ((skipped, "skipped"), (pending, "pending"))
            if count
        ]
        if failed:
            received.append(f"{len(failed)} of {files} failed: {shown.rstrip('.')}{rest}")
        super().__init__(
            "Every file of the input must be scored.",
            f"Not scored: {'; '.join(received)}.",
            "Fix or remove bad files and rerun; finished files are kept.",
        )
