"""Files in other formats than Parquet, and how to convert them."""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Sequence
from typing import Final

from imdb_classifier.errors import BadDataError
from imdb_classifier.storage import SUFFIX, is_remote

_COMPRESSED: Final = (".bz2", ".gz", ".xz", ".zip", ".zst")

# In CSV, only empty fields become null: "NA" or "None" may be all that a review says. JSON is read
# by Python's own module, because pandas changes types on the way ("007" to 7, dates to timestamps).
_CSV: Final = 'keep_default_na=False, na_values=[""], low_memory=False'
_READ: Final = 'open(SOURCE, encoding="utf-8")'
_CONVERSIONS: Final = {
    ".csv": f"import pandas; pandas.read_csv(SOURCE, {_CSV}).to_parquet(TARGET)",
    ".tsv": f'import pandas; pandas.read_csv(SOURCE, sep="\\t", {_CSV}).to_parquet(TARGET)',
    **dict.fromkeys(
        (".jsonl", ".ndjson"),
        f"import json, pandas; pandas.DataFrame(map(json.loads, {_READ})).to_parquet(TARGET)",
    ),
    # It may be one array, or JSON Lines.
    ".json": f"import json, pandas; t = {_READ}.read().strip(); "
    'r = json.loads(t) if t[0] == "[" else map(json.loads, t.split("\\n")); '
    "pandas.DataFrame(r).to_parquet(TARGET)",
    **dict.fromkeys(
        (".arrow", ".feather"),
        "from pyarrow import feather, parquet; "
        "parquet.write_table(feather.read_table(SOURCE), TARGET)",
    ),
    ".orc": "from pyarrow import orc, parquet; parquet.write_table(orc.read_table(SOURCE), TARGET)",
}
"""Python code by suffix."""


def is_other_format(path: str) -> bool:
    """Return whether a file's name says that it is in another format."""
    return posixpath.splitext(_decompressed(path))[1].lower() in _CONVERSIONS


def check_formats(root: str, names: Sequence[str]) -> None:
    """Make sure that an input does not consist of files in other formats only.

    Args:
        root: The folder that the names are relative to.
        names: All files of the input.

    Raises:
        BadDataError: All names say so. The message has a command that converts the first file.
    """
    if names and all(map(is_other_format, names)):
        path = posixpath.join(root, names[0])
        bare = _decompressed(path)
        others = " and neither are the others" if names[1:] else ""
        before = "Download it. " * is_remote(path) + "Decompress it. " * (bare != path)
        raise BadDataError(
            "Only Parquet files can be scored.",
            f"By its name, {path} is not one{others}.",
            f"{before}Convert it first: {_command(bare)}",
        )


def _decompressed(path: str) -> str:
    stem, suffix = posixpath.splitext(path)
    return stem if suffix.lower() in _COMPRESSED else path


def _command(path: str) -> str:
    """Return a shell command that converts a file; a downloaded one in the working folder."""
    source = posixpath.basename(path) if is_remote(path) else path
    stem, suffix = posixpath.splitext(source)
    code = _CONVERSIONS[suffix.lower()]
    # In double quotes, unlike repr, because the shell's are single ones.
    code = code.replace("SOURCE", json.dumps(source, ensure_ascii=False))
    code = code.replace("TARGET", json.dumps(f"{stem}{SUFFIX}", ensure_ascii=False))
    return f"python -c {shlex.quote(code)}"
