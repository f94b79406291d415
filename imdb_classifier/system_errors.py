"""What the operating system or a server refuses, as errors of this library."""

from __future__ import annotations

import errno
import os
from typing import Final

from imdb_classifier.errors import (
    CannotWriteError,
    ImdbClassifierError,
    NoInputError,
    UnavailableError,
    UnexpectedError,
    first_line,
)

_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
_NO_MEMORY: Final = (
    "can't start new thread",
    "failed to map segment from shared object",
    "Failed to allocate memory",
    "error return without exception set",
    os.strerror(errno.ENOMEM),
)
"""What threads, shared objects, ONNX Runtime and Python itself say that get no memory."""


def cannot_read(source: str, error: OSError) -> ImdbClassifierError:
    """Return the error to raise when the operating system or a server refuses to read an input."""
    reason = error.strerror or first_line(error)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NoInputError(
            "An input must exist.", f"Opening {source} failed: {reason}.", "Check the path."
        )
    return UnavailableError(
        f"{source} must be readable.",
        f"Reading it failed: {reason}.",
        "Check your permissions and the connection to its storage, and rerun.",
    )


def cannot_write(target: str, error: OSError) -> CannotWriteError:
    """Return the error to raise when the operating system refuses to write an output."""
    refused = CannotWriteError(
        "The output must be writable.",
        f"Writing {target} failed: {error.strerror or first_line(error)}.",
        f"{remedy(error)}, or choose another `output`.",
    )
    refused.may_pass = True
    return refused


def remedy(error: OSError) -> str:
    """Return what may help if the operating system refuses to write, for the start of a sentence.

    Example:
        >>> remedy(OSError(errno.ENOSPC, "No space left on device"))
        'Free up space'
    """
    if error.errno in _NO_SPACE:
        return "Free up space"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Check your permissions"
    return "Free up space, check your permissions"


def known_error(error: Exception) -> ImdbClassifierError:
    """Return an error as one of this library; unexpected ones without their messages."""
    if isinstance(error, ImdbClassifierError):
        return error
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return UnavailableError(
            "There must be enough memory.",
            f"The operating system refused more ({type(error).__name__}).",
            "Free up memory, raise the limit, or set IMDB_CLASSIFIER_THREADS to a smaller number.",
        )
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        full = CannotWriteError(
            "There must be space for what is written.",
            f"Writing {error.filename or 'the output'} failed: {error.strerror}.",
            "Free up space, or redirect standard output elsewhere, and rerun.",
        )
        full.may_pass = True
        return full
    return UnexpectedError(error)
