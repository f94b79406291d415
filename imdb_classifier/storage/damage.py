"""Errors for Parquet files that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from imdb_classifier.errors import ImdbClassifierError, UnreadableFileError, first_line


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Raise an error that names the Parquet file if opening it or reading its footer fails.

    Args:
        name: The file's name, for the error message.

    Raises:
        UnreadableFileError: The file is not Parquet, is damaged, or cannot be read.
    """
    try:
        yield
    except ImdbClassifierError:
        raise
    except UnicodeDecodeError as error:
        raise UnreadableFileError(name, "a column name is not valid UTF-8") from error
    except (OSError, pa.ArrowException) as error:
        raise UnreadableFileError(name, first_line(error)) from error
    except Exception as error:
        # Arrow does not document which other errors it raises; their messages might quote the file.
        raise UnreadableFileError(name, type(error).__name__) from error
