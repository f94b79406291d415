"""Clients of object stores, configured by the environment variables of each store's own tools."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from pyarrow import fs

from imdb_classifier.errors import ConfigurationError

_PUBLIC_CLOUD: Final = "core.windows.net"
_RETRY_TIME: Final = timedelta(seconds=20)
"""Google's client would retry for 15 minutes, S3's for some seconds."""


def client(scheme: str, host: str) -> fs.FileSystem:
    """Return the client of an object store.

    Args:
        scheme: ``s3``, ``gs`` or ``abfs``.
        host: For ``abfs``, the host of the storage account; empty for the account that the
            environment names.

    Raises:
        ConfigurationError: No storage account is named.
    """
    return _CLIENTS[scheme](host)


def _s3(_: str) -> fs.FileSystem:
    # pyarrow reads all of the usual variables except these two.
    endpoint = _first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    # Objects of less than 10 MB are then written in one request, and not in three.
    return fs.S3FileSystem(endpoint_override=endpoint, allow_delayed_open=True)


def _google(_: str) -> fs.FileSystem:
    # pyarrow ignores the variables for emulators; emulators take no credentials.
    emulator = _first("STORAGE_EMULATOR_HOST", "CLOUD_STORAGE_EMULATOR_ENDPOINT")
    if emulator is None:
        return fs.GcsFileSystem(retry_time_limit=_RETRY_TIME)
    url = urlsplit(emulator if "://" in emulator else f"http://{emulator}")
    return fs.GcsFileSystem(
        anonymous=True,
        scheme=url.scheme,
        endpoint_override=url.netloc,
        retry_time_limit=_RETRY_TIME,
    )


def azure_host(host: str) -> str:
    """Return the host of a storage account by its one name, whichever of its names is given.

    Args:
        host: ``ACCOUNT.dfs.core.windows.net``, ``ACCOUNT.blob.core.windows.net``, or the name of
            the account; empty for the account that the environment names.

    Raises:
        ConfigurationError: No storage account is named.
    """
    settings = _azure_settings()
    name, _, domain = host.lower().partition(".")
    account = name or settings.get("AccountName")
    if not account:
        raise ConfigurationError(
            "An Azure path must name its storage account.",
            "It does not, and AZURE_STORAGE_ACCOUNT is not set.",
            "Write abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/..., or set the variable.",
        )
    suffix = domain.partition(".")[2] or settings.get("EndpointSuffix") or _PUBLIC_CLOUD
    return f"{account}.dfs.{suffix}"


def _azure(host: str) -> fs.FileSystem:
    host, settings = azure_host(host), _azure_settings()
    account = host.partition(".")[0]
    if settings.get("AccountName", account) != account:
        settings = {}  # another account's
    # Only one of them is accepted; without any, pyarrow tries a service principal, a managed
    # identity and the login of the Azure CLI.
    token, key = settings.get("SharedAccessSignature"), settings.get("AccountKey")
    secret = {"sas_token": token} if token else {"account_key": key}
    return fs.AzureFileSystem(account, **secret, **_azure_servers(account, host, settings))


def _azure_settings() -> dict[str, str]:
    """Return account, key or token, and servers, by the names that connection strings have."""
    pairs = (_first("AZURE_STORAGE_CONNECTION_STRING") or "").split(";")
    connection = {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
    variables = {
        "AccountName": _first("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"),
        "AccountKey": _first("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"),
        "SharedAccessSignature": _first("AZURE_STORAGE_SAS_TOKEN"),
    }
    return connection | {name: value for name, value in variables.items() if value}


def _azure_servers(account: str, host: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the servers of a storage account."""
    domain = host.partition(".dfs.")[2]
    url = urlsplit(settings.get("BlobEndpoint", ""))
    if url.netloc and not url.netloc.startswith(f"{account}."):
        # An emulator: the account is a part of the path.
        return {
            **dict.fromkeys(("blob_storage_authority", "dfs_storage_authority"), url.netloc),
            **dict.fromkeys(("blob_storage_scheme", "dfs_storage_scheme"), url.scheme),
        }
    return {f"{kind}_storage_authority": f".{kind}.{domain}" for kind in ("blob", "dfs")}


def _first(*variables: str) -> str | None:
    return next((value for name in variables if (value := os.environ.get(name))), None)


_CLIENTS: Final[Mapping[str, Callable[[str], fs.FileSystem]]] = {
    "s3": _s3,
    "gs": _google,
    "abfs": _azure,
}
