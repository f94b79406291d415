from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from imdb_classifier.diagnosis.checkup import NotApplicableError
from imdb_classifier.diagnosis.places import (
    check_model,
    check_output,
    check_registry,
    check_space,
)
from imdb_classifier.errors import (
    BundleError,
    CannotWriteError,
    UnapprovedModelError,
    UnknownModelError,
)
from imdb_classifier.model.bundle import ONNX_FILE, Bundle
from imdb_classifier.registry.versions import Registry
from imdb_classifier.storage import LocalStorage, storage_of


@pytest.fixture
def registry(tiny_bundle: Bundle, tmp_path: Path) -> Registry:
    """A registry of one version, which nobody has approved."""
    registry = Registry.at(tmp_path / "registry")
    version = tmp_path / "registry" / "versions" / tiny_bundle.model_id
    shutil.copytree(tiny_bundle.path, version)
    return registry


def test_a_registry(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert check_registry(registry) == f"{registry.root}: 1 version; can be written"
    assert (
        check_registry(Registry.at(tmp_path / "no")) == f"{tmp_path}/no: 0 versions; can be written"
    )
    assert sorted(tmp_path.rglob("*")) == before
    nowhere = Registry.at("/dev/null/registry")
    assert "read-only, so nothing can be trained or promoted" in check_registry(nowhere)
    (next(Path(registry.root).glob("versions/*")) / ONNX_FILE).write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"1 version cannot be loaded: .*model\.onnx does not"):
        check_registry(registry)


def test_a_model(registry: Registry, tiny_bundle: Bundle) -> None:
    assert check_model(registry, "@champion", "auto").startswith("production-")
    with pytest.raises(UnapprovedModelError):
        check_model(registry, tiny_bundle.model_id, "auto")
    with pytest.raises(UnknownModelError):
        check_model(registry, "no-such-model", "auto")


def test_an_output_is_left_as_it_was(tmp_path: Path) -> None:
    assert "locks exclude other runs" in check_output(str(tmp_path / "new" / "out"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CannotWriteError, match="Not a directory"):
        check_output("/dev/null/out")
    with (
        storage_of("").lock(str(tmp_path)),
        pytest.raises(NotApplicableError, match="another run is writing to it"),
    ):
        check_output(str(tmp_path))


def test_an_output_in_an_object_store(bucket: str) -> None:
    assert check_output(f"{bucket}/out") == f"{bucket}/out: objects can be written and deleted"
    assert storage_of(bucket).find(bucket).names == ()
    with pytest.raises(CannotWriteError, match="there is no bucket no-such-bucket"):
        check_output("s3://no-such-bucket/out")


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def no_lock(
        self: LocalStorage, output: str, side_files: Sequence[str] | None = None
    ) -> Iterator[None]:
        yield

    monkeypatch.setattr(LocalStorage, "lock", no_lock)
    with pytest.raises(CannotWriteError, match=r"grants the same lock twice.*NFS: without nolock"):
        check_output(str(tmp_path))


def test_a_file_system_that_keeps_what_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalStorage, "read_text", lambda *_: "before")
    with pytest.raises(CannotWriteError, match=r"still had the old one\. Choose an `output`"):
        check_output(str(tmp_path))


def test_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_space(str(tmp_path / "new" / "out")).startswith("free: ")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    with pytest.raises(CannotWriteError, match=r"At least 256 MiB must be free\. Free: 0\.0 GB in"):
        check_space(str(tmp_path))
