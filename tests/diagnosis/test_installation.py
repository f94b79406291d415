from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest

from imdb_classifier.diagnosis import installation
from imdb_classifier.diagnosis.checkup import NotApplicableError
from imdb_classifier.diagnosis.installation import check_cores, check_engine, check_versions
from imdb_classifier.errors import ConfigurationError
from imdb_classifier.scoring.cores import THREADS_VARIABLE

REQUIRES = [
    "numpy>=2.2",
    "llvmlite>=0.45; extra == 'fast'",
    "prefect>=3.8; extra == 'flows'",
    "sqlalchemy<2.1; extra == 'flows'",
    "imdb-classifier[fast]; extra == 'all'",
]
Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Lets the package require `REQUIRES`, and be installed beside packages of these versions."""

    def install(**versions: str) -> None:
        def version(package: str) -> str:
            if package not in versions:
                raise PackageNotFoundError(package)
            return versions[package]

        monkeypatch.setattr(installation, "version", version)
        monkeypatch.setattr(installation, "requires", lambda _: REQUIRES)

    return install


def test_this_environment_is_healthy() -> None:
    found = check_versions()
    assert "numpy 2" in found
    assert "onnxruntime 1" in found


def test_supported_versions(install: Install) -> None:
    install(numpy="2.3", llvmlite="0.45.1")
    assert check_versions().endswith("; llvmlite 0.45.1, numpy 2.3")


@pytest.mark.parametrize(
    ("versions", "found", "command"),
    [
        ({"numpy": "2.1"}, "numpy 2.1", "'numpy>=2.2'"),
        ({}, "numpy is not", "'numpy>=2.2'"),
        ({"numpy": "2.2", "llvmlite": "0.44"}, "llvmlite 0.44", "'llvmlite>=0.45'"),
        (
            {"numpy": "2.2", "prefect": "3.8.6", "sqlalchemy": "2.1"},
            "sqlalchemy 2.1",
            "'sqlalchemy<2.1'",
        ),
    ],
)
def test_versions_that_are_not_supported(
    install: Install, versions: dict[str, str], found: str, command: str
) -> None:
    install(**versions)
    with pytest.raises(ConfigurationError) as caught:
        check_versions()
    assert f"Installed: {found}." in str(caught.value)
    assert f"pip install --upgrade {command}" in str(caught.value)


def test_packages_of_extras_that_are_not_installed_may_have_any_version(install: Install) -> None:
    install(numpy="2.2", sqlalchemy="2.1")
    assert "sqlalchemy" not in check_versions()


def test_a_package_that_is_not_installed_requires_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> Any:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(installation, "requires", missing)
    with pytest.raises(NotApplicableError, match="runs from its source"):
        check_versions()


def test_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREADS_VARIABLE, "3")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(installation, "cpu_quota", lambda: 1.5)
    assert check_cores() == f"3 threads (8 cores, CPU quota: 1.5, {THREADS_VARIABLE}: 3)"
    monkeypatch.setenv(THREADS_VARIABLE, "many")
    with pytest.raises(ConfigurationError, match="It is 'many'"):
        check_cores()


def test_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_engine("auto") == "compiled"
    assert check_engine("onnx") == "onnx"
    monkeypatch.setattr(installation, "find_spec", lambda _: None)
    assert check_engine("auto") == "onnx; install imdb-classifier[fast] for a faster one"
