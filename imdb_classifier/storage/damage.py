"""Why a Parquet file cannot be read: its bytes are wrong, or they cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeGuard

import pyarrow as pa

from imdb_classifier.errors import ImdbClassifierError, UnreadableFileError, first_line
from imdb_classifier.system_errors import cannot_read

_CLIENT_FAULTS: Final = ("AWS Error", "Azure Error", "google::cloud::Status")


def is_fault(error: BaseException) -> TypeGuard[OSError]:
    """Return whether the system or a server raised an error, and not Arrow over wrong bytes."""
    if not isinstance(error, OSError):
        return False
    # Arrow raises OSError for wrong bytes, too, but without a number. Its clients of object stores
    # have no numbers, either.
    return error.errno is not None or any(words in str(error) for words in _CLIENT_FAULTS)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Raise an error that names the Parquet file if opening it or reading its footer fails.

    Args:
        name: The file's name, for the error message.

    Raises:
        UnreadableFileError: The file is not Parquet, or is damaged.
        NoInputError: It does not exist.
        UnavailableError: It cannot be reached.
    """
    try:
        yield
    except ImdbClassifierError:
        raise
    except UnicodeDecodeError as error:
        raise UnreadableFileError(name, "a column name is not valid UTF-8") from error
    except (OSError, pa.ArrowException) as error:
        if is_fault(error):
            raise cannot_read(name, error) from error
        raise UnreadableFileError(name, first_line(error)) from error
    except Exception as error:
        # Arrow does not document which other errors it raises; their messages might quote the file.
        raise UnreadableFileError(name, type(error).__name__) from error
