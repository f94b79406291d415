"""Paths as users write them, and the locations that they mean.

A location is what the rest of the package works with: a path on this machine, or a URI that starts
with ``s3://``, ``gs://`` or ``abfs://``.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from typing import Final, Literal
from urllib.parse import unquote

import platformdirs

from imdb_classifier.errors import EXIT_USAGE, ConfigurationError, ImdbClassifierError
from imdb_classifier.storage.clients import azure_host

StrPath = str | os.PathLike[str]
"""A path on this machine; a string may also be a URI, such as ``s3://bucket/reviews``."""

NO_HOME: Final = "/dev/null/no-home-directory"
"""A folder that can neither exist nor be made, for users without a home directory."""

_COLLAPSED_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/(?!/)")
_LOST_SLASH: Final = re.compile(
    r"(s3[an]?|gc?s|az|abfss?|wasbs?|hdfs|dbfs|hf|https?):/?(?!/)(.*)", re.DOTALL | re.IGNORECASE
)
_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_FILE_URI: Final = re.compile(r"file:(?://(?:localhost)?/|/(?!/))(.*)", re.DOTALL | re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
_NAME_BYTES: Final = 255
"""Most file systems limit names to so many bytes."""
_SCHEMES: Final = {
    "s3": "s3://",
    "s3a": "s3://",
    "s3n": "s3://",
    "gs": "gs://",
    "abfs": "abfs://",
    "abfss": "abfs://",
}


class UnknownSchemeError(ImdbClassifierError):
    """A path is a URI of a kind that is not supported."""

    exit_code = EXIT_USAGE


class UnsetVariableError(ImdbClassifierError):
    """A path contains an environment variable that is not set."""

    exit_code = EXIT_USAGE


def location_of(path: StrPath) -> str:
    """Return the location that a user's path means.

    Environment variables (``$NAME``, ``${NAME}``) and ``~`` are expanded, ``file://`` URIs become
    paths, and other names of a scheme (``s3a://``, ``abfss://``) the one that locations have.

    Raises:
        UnknownSchemeError: It is a URI of another kind.
        UnsetVariableError: An environment variable is not set, and no file has the literal name.
        ConfigurationError: It is a URI with credentials or ``//`` in it; or one that has lost a
            slash, as in a `pathlib.Path`, and would name a folder on this machine.
    """
    name = os.fspath(path)
    if not isinstance(path, str) and _COLLAPSED_URI.match(name):
        raise ConfigurationError(
            "A URI must be passed as a string; pathlib.Path removes one of its slashes.",
            f"The path is {name}.",
            "Pass the URI itself, without Path(...).",
        )
    name = _with_variables(name)
    if file := _FILE_URI.fullmatch(name):
        return f"/{unquote(file[1])}"
    if uri := _URI.fullmatch(name):
        return _remote(name, uri[1].lower(), uri[2])
    if lost := _LOST_SLASH.fullmatch(name):
        meant = _remote(f"{lost[1]}://{lost[2]}", lost[1].lower(), lost[2])
        raise ConfigurationError(
            "A URI needs two slashes after its scheme.",
            f"The path is {name}.",
            f"Write {meant}, or ./{name} for a local folder.",
        )
    return _encodable(home_expanded(name)).replace(os.sep, "/")


def user_folder(kind: Literal["cache", "data"]) -> str:
    """Return this program's folder for downloads or for models in the user's home directory.

    Without a home directory, it is in `NO_HOME`.
    """
    find = {"cache": platformdirs.user_cache_path, "data": platformdirs.user_data_path}[kind]
    try:
        return home_expanded(find("imdb-classifier").as_posix())
    except RuntimeError:
        return NO_HOME


def home_expanded(path: str) -> str:
    """Return a path with ``~`` expanded; without a home directory, it is in `NO_HOME`."""
    name = os.path.expanduser(path)
    return NO_HOME + name[1:] if name == "~" or name.startswith("~/") else name


def _encodable(path: str) -> str:
    """Return a path as Python decodes the names of files, in locales without UTF-8 as well."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return os.fsdecode(path.encode("utf-8", "surrogateescape"))
    return path


def stem_of(name: str, *affixes: str) -> str:
    """Return what stands for the name of a file in that of another file that belongs to it.

    It is the name; or its SHA-256 (hexadecimal), if the other name would be too long.

    Args:
        name: The name.
        affixes: What else is in the other name.
    """
    encoded = os.fsencode(name)
    is_short = len(encoded) + len("".join(affixes)) <= _NAME_BYTES
    return name if is_short else sha256(encoded).hexdigest()


def side_stem_of(name: str, *affixes: str) -> str:
    """Return what stands for the name of a scored file in that of a report on it, see `stem_of`.

    The last dot is replaced: Hugging Face datasets takes ``a.parquet.csv`` for Parquet. A name
    without an ending gets an underscore, so that no two names have the same stem.
    """
    stem, dot, ending = name.rpartition(".")
    has_ending = dot and ending.isalnum()
    return stem_of(f"{stem}_{ending}" if has_ending else f"{name}_", *affixes)


def is_remote(location: str) -> bool:
    """Return whether a location is in an object store."""
    return location.startswith(tuple(_SCHEMES.values()))


def _remote(name: str, scheme: str, rest: str) -> str:
    if scheme not in _SCHEMES:
        raise UnknownSchemeError(
            "A path must be on this machine or start with s3://, gs://, abfs:// or file://.",
            f"It is {_redacted(name)}.",
            "Correct it, mount the storage, or copy the files.",
        )
    bucket = rest.partition("/")[0]
    # In Azure, what stands before the @ is a container.
    if "@" in bucket and scheme not in ("abfs", "abfss"):
        raise ConfigurationError(
            "A URI must not contain credentials.",
            f"It is {_redacted(name)} with some in front of the bucket.",
            "Set the environment variables of the object store instead.",
        )
    if "//" in rest.rstrip("/"):
        raise ConfigurationError(
            "A key must not have empty parts: pyarrow cannot read it.",
            f"It is {_redacted(name)}.",
            "Remove a slash, or copy the objects to other keys.",
        )
    if _SCHEMES[scheme] == "abfs://":
        # One location, whichever of its names is given, so that overlaps are seen.
        container, _, host = bucket.partition("@")
        rest = f"{container}@{azure_host(host)}{rest.removeprefix(bucket)}"
    return _SCHEMES[scheme] + rest


def _with_variables(path: str) -> str:
    """Expand variables, except in names that exist literally."""
    parts = path.split("/")
    for number, part in enumerate(parts):
        literal = os.path.expanduser("/".join(parts[: number + 1]))
        if _VARIABLE.search(part) and not os.path.lexists(literal):
            parts[number] = _VARIABLE.sub(lambda found: _value_of(found, path), part)
    return "/".join(parts)


def _value_of(found: re.Match[str], path: str) -> str:
    variable = found[1] or found[2]
    if variable not in os.environ:
        raise UnsetVariableError(
            "Environment variables in a path must be set.",
            f"{variable} in {_redacted(path)} is not.",
            "Set it, or correct the path.",
        )
    return os.environ[variable]


def _redacted(path: str) -> str:
    """Return a path without the credentials that a URI can contain before its host."""
    return re.sub(r"//[^/@\s]*@", "//", path)
