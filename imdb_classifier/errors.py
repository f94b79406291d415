"""Every error this library raises on purpose.

Every message has three parts: what is required, what was found, and what to do next. Each class
has the exit code (modeled on BSD ``sysexits.h``) that the command line returns for it. Messages
never contain review text, and are always one line of printable characters, whatever names they
quote. They name parameters as Python and the flows do, in backticks: `` `max_bad_files` `` or
`` `only=new` ``; the command line shows these as its options.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from unicodedata import combining, is_normalized

EXIT_DONE = 0
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_BAD_DATA = 65
EXIT_NO_INPUT = 66
EXIT_UNAVAILABLE = 69
EXIT_INTERNAL = 70
EXIT_CANNOT_WRITE = 73
EXIT_PARTIAL = 75
EXIT_CONFIGURATION = 78

_PACKAGE_FOLDER: Final = Path(__file__).parent
_LONGEST_NAME: Final = 60
_LONGEST_PART: Final = 5_000
"""Characters of a name, and of a part of a message, that are shown."""


def printable(text: str) -> str:
    r"""Return a text of unknown origin as one line that is safe to print or log.

    Control and formatting characters are escaped, as ``\n``, ``\x1b`` or ``\u202e``, and so are the
    bytes of file names that are not valid UTF-8, which Python decodes as lone surrogates (PEP 383).
    In a text that is not in NFC, and looks like one that is, so are the accents of its letters.
    """
    if text.isprintable() and is_normalized("NFC", text):
        return text
    with suppress(UnicodeEncodeError):
        # In a locale without UTF-8, those of all other names are surrogates, too.
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    is_composed = is_normalized("NFC", text)
    return "".join(
        char if char.isprintable() and (is_composed or not _composes(char)) else _escaped(char)
        for char in text
    )


def _composes(character: str) -> bool:
    """Return whether the canonical form may merge a character with others, or replace it."""
    is_jamo = "\u1160" <= character <= "\u11ff"
    return is_jamo or combining(character) != 0 or not is_normalized("NFC", character)


def _escaped(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    return f"\\u{number:04x}" if 0x80 <= number <= 0xFF else ascii(character)[1:-1]


def spelled(name: str) -> str:
    r"""Return a file's name as one printable line that no other name has.

    As `printable`, but a backslash is doubled: four letters ``\x1b`` are not the control character.
    """
    return printable(name.replace("\\", "\\\\"))


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, for use inside a sentence.

    Leaves out the ``error_info`` that Google's client appends.
    """
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return line.partition(" error_info=")[0].rstrip(".")


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 file`` or ``2,000 files``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


class ImdbClassifierError(ValueError):
    """Base class of every error that this library raises on purpose.

    Args:
        rule: What is required, in one sentence.
        received: What was found, in one sentence.
        way_out: What to do next, in one or more sentences.
    """

    exit_code: int = EXIT_INTERNAL
    may_pass: bool = False
    """Whether a retry may help, because the system or a server is at fault."""

    def __init__(self, rule: str, received: str, way_out: str) -> None:
        if len(received) > _LONGEST_PART:
            received = f"{received[:_LONGEST_PART]}... ({len(received):,} characters)."
        super().__init__(printable(f"{rule} {received} {way_out}"))

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors are sent between processes (Dask, process pools); by default, pickle would pass the
        # finished message to the constructor of the subclass.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    cls: type[ImdbClassifierError], args: tuple[object, ...], state: dict[str, object]
) -> ImdbClassifierError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def described(error: Exception) -> str:
    """Return an unexpected exception's type, and its message if that cannot quote a review."""
    name = type(error).__name__
    return f"{name} ({first_line(error)})" if isinstance(error, ImportError) else name


class UnexpectedError(ImdbClassifierError):
    """An exception that this library does not expect, with the line that raised it.

    The original message is left out because it might quote a review, except for import errors.
    """

    may_pass = True

    def __init__(self, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE_FOLDER)]
        last = (ours or frames)[-1]
        super().__init__(
            "Unexpected error:",
            f"{described(error)} in {Path(last.filename).name}, line {last.lineno}.",
            "Retry; if it happens again, report this line.",
        )


def listed(names: Iterable[str], limit: int = 20) -> str:
    """Return names for use inside a sentence, such as ``a, b and 3 more``."""
    names = list(names)
    shown = ", ".join(map(shortened, names[:limit]))
    rest = len(names) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown or "none"


def shortened(name: str) -> str:
    """Return a name, or its length if it may be a review, as in a header made of the first row."""
    return name if len(name) <= _LONGEST_NAME else f"<{len(name):,} characters>"


class ConfigurationError(ImdbClassifierError):
    """A setting is out of range or contradicts another one."""

    exit_code = EXIT_CONFIGURATION


class MissingExtraError(ImdbClassifierError):
    """A feature needs an optional package that is not installed."""

    exit_code = EXIT_CONFIGURATION

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package {package}.",
            "It is not installed.",
            f"Install it with: pip install 'imdb-classifier[{extra}]'",
        )


class UnsupportedPackageError(ConfigurationError):
    """The installed version of a package does not work with this library."""

    def __init__(self, package: str, error: Exception) -> None:
        from importlib.metadata import version  # takes as long as the rest of this module

        super().__init__(
            f"A supported version of {package} is required.",
            f"{package} {version(package)} is installed and fails with "
            f"{type(error).__name__}: {first_line(error)}.",
            f"Install a supported version with: pip install --upgrade imdb-classifier {package}",
        )


class NoInputError(ImdbClassifierError):
    """An input does not exist, or there is nothing in it to read."""

    exit_code = EXIT_NO_INPUT


class UnavailableError(ImdbClassifierError):
    """Something cannot be reached that may be intact."""

    exit_code = EXIT_UNAVAILABLE
    may_pass = True


class BadDataError(ImdbClassifierError):
    """Data has the wrong form, or failed a check."""

    exit_code = EXIT_BAD_DATA


class MissingColumnError(BadDataError):
    """A Parquet file or frame has no column of the given name."""

    def __init__(self, column: str, source: str, available: Iterable[str], way_out: str) -> None:
        super().__init__(
            f"Column '{column}' is not in {source}.",
            f"Its columns: {listed(available)}.",
            way_out,
        )


class MissingReviewColumnError(MissingColumnError):
    """A Parquet file of labeled reviews lacks its text or its label column."""

    def __init__(self, column: str, source: str, available: Iterable[str]) -> None:
        way_out = "Rename your columns: labeled reviews need text (the review) and label (0 or 1)."
        super().__init__(column, source, available, way_out)


class AmbiguousColumnError(BadDataError):
    """Several columns have the name of a column that was chosen."""

    def __init__(self, column: str, source: str, count: int, option: str) -> None:
        super().__init__(
            "A column can be chosen only if its name is unique.",
            f"{source} has {count} columns named '{column}'.",
            f"Rename them, or choose another column with {option}.",
        )


class TextTypeError(BadDataError):
    """The text column, or a list or array of texts, contains something that is not text."""

    def __init__(self, column: str | None, source: str, received: str, where: str = "") -> None:
        self.received = received
        named = f"Column '{column}' of {source}" if column is not None else source.capitalize()
        super().__init__(
            f"{named} must contain text: strings or UTF-8 bytes.",
            f"It is {received}{where and f' in {where}'}.",
            f"Cast it to text first{', or choose another column' if column is not None else ''}.",
        )


class UnsupportedDataError(BadDataError):
    """The data to score is not a frame, table, array or sequence of texts."""

    def __init__(self, rule: str, received: str, way_out: str) -> None:
        super().__init__(rule, f"It received {received}.", way_out)


class ColumnExistsError(BadDataError):
    """An output column would overwrite an input column."""

    def __init__(self, columns: Iterable[str], source: str) -> None:
        super().__init__(
            "Input columns are never overwritten.",
            f"{source} already has: {listed(columns)}.",
            "Choose another `prefix` for the new columns.",
        )


class UnreadableFileError(BadDataError):
    """A file is not Parquet, or is damaged."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(
            f"{source} must be a readable Parquet file.",
            f"Reading it failed: {reason}.",
            "Recreate the file, or remove it from the input.",
        )


class ChecksumError(BadDataError):
    """A downloaded or stored file does not have its published checksum."""

    def __init__(
        self,
        source: str,
        expected: str,
        received: str,
        way_out: str = "Delete the file and download it again.",
    ) -> None:
        super().__init__(
            f"{source} must have the published checksum {expected}.",
            f"It has {received}.",
            way_out,
        )


class BundleError(BadDataError):
    """A model bundle is damaged, incomplete, or from a newer release."""


class ExportError(BadDataError):
    """The exported model does not give the same probabilities as the Keras model."""


class CannotWriteError(ImdbClassifierError):
    """An output cannot be written."""

    exit_code = EXIT_CANNOT_WRITE


class OutputExistsError(CannotWriteError):
    """Something else already exists where an output should be written."""

    def __init__(self, target: str, reason: str, way_out: str) -> None:
        super().__init__(
            f"{target} must not exist, unless an identical run wrote it.",
            f"It exists, and {reason}.",
            way_out,
        )


class OutputInUseError(CannotWriteError):
    """Another run is writing to an output, or to a place that overlaps with it."""

    def __init__(self, output: str, place: str, holder: str | None = None) -> None:
        overlap = "" if place == output else f", which overlaps with {output}"
        who = f": {holder}" if holder else ""
        super().__init__(
            "Only one run at a time can write to an output.",
            f"Another run is writing to {place}{overlap}{who}.",
            "Wait until it has finished, or choose another `output`.",
        )


class UnapprovedModelError(ImdbClassifierError):
    """A model version has not passed the promotion checks."""

    exit_code = EXIT_CONFIGURATION

    def __init__(self, model_id: str) -> None:
        super().__init__(
            "Versions that have not passed the promotion checks cannot be used for scoring.",
            f"{model_id} has not passed them.",
            f"Run `imdb-classifier models promote {model_id}`, or use it anyway with "
            "`allow_unapproved`.",
        )


class UnknownModelError(NoInputError):
    """A model reference is not the path of a bundle, a version id or an alias."""

    def __init__(self, reference: str, known: Iterable[str]) -> None:
        super().__init__(
            "A model must be the path of a bundle, a version id or an @alias.",
            f"'{reference}' is none of these. Known models: {listed(known)}.",
            "List the models with `imdb-classifier models list`.",
        )


class PartlyScoredError(ImdbClassifierError):
    """Some files failed, or the run stopped before they were scored.

    Args:
        failed: Names of the files that failed, with their errors.
        pending: Number of files that were not scored before the run stopped.
        files: Number of files in total.
        exit_code: 75, or that of the first file's error if all files failed.
        result: The `RunResult`.
    """

    def __init__(
        self,
        failed: Mapping[str, str],
        *,
        pending: int,
        files: int,
        exit_code: int,
        result: Any = None,
    ) -> None:
        self.exit_code = exit_code
        self.result = result
        shown = "; ".join(f"{name}: {error}" for name, error in list(failed.items())[:5])
        rest = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
        received = [f"{pending} of {files} pending"] if pending else []
        if failed:
            received.append(f"{len(failed)} of {files} failed: {shown.rstrip('.')}{rest}")
        super().__init__(
            "Not all files were scored:",
            f"{'; '.join(received)}.",
            f"{'Resolve the errors and rerun' if failed else 'Rerun to continue'}; "
            "finished files are kept.",
        )
