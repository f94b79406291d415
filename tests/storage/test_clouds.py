"""Google Cloud Storage and Azure, as emulators of both show them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier import storage
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.errors import CannotWriteError, ConfigurationError, NoInputError
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.pipeline.evaluate import evaluate_bundle
from imdb_classifier.pipeline.promote import register_bundle
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import filesystem_of, storage_of
from tests.other_systems import NODE_PACKAGES
from tests.servers import serving

AZURITE = shutil.which("azurite-blob", path=NODE_PACKAGES / "node_modules" / ".bin")
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Published: those of every emulator."""


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host=127.0.0.1"]
    with serving(
        "Google's emulator", lambda port: [*command, f"--port={port}", "--in-memory"]
    ) as server:
        yield server


@pytest.fixture(scope="module")
def azure() -> Iterator[str]:
    if AZURITE is None:
        pytest.skip("azurite is not installed: make interop")
    command = [AZURITE, "--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry"]
    with serving(
        "Azure's emulator",
        lambda port: [*command, "--blobHost", "127.0.0.1", "--blobPort", str(port)],
    ) as server:
        yield server


@pytest.fixture(params=["gs", "abfs", "abfss"])
def cloud(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[str]:
    """The URI of a new, empty bucket or container."""
    storage.object_storage.cache_clear()
    name = tmp_path.name.replace("_", "-").replace("--", "-")[-40:].strip("-")
    uri = f"{request.param}://{name}"
    if request.param == "gs":
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("google"))
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
    else:
        server = f"http://{request.getfixturevalue('azure')}/{ACCOUNT}"
        pairs = {"AccountName": ACCOUNT, "AccountKey": KEY, "BlobEndpoint": server}
        connection = ";".join(f"{name}={value}" for name, value in pairs.items())
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection)
        if request.param == "abfss":
            uri += f"@{ACCOUNT}.dfs.core.windows.net"
    filesystem, _ = filesystem_of(uri.replace("abfss:", "abfs:"))
    filesystem.create_dir(name)
    yield uri
    storage.object_storage.cache_clear()


def test_a_tree_in_a_cloud(cloud: str, tmp_path: Path, scorer: Scorer) -> None:
    for name in ("a.parquet", "day=1/b c.parquet", "day=2/ü.parquet"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": ["Good.", None, name]}), tmp_path / "in" / name)
    assert score_parquet(tmp_path / "in", f"{cloud}/in", scorer).exit_code == 0
    options = ScoreOptions(prefix="again_")
    first = score_parquet(f"{cloud}/in", f"{cloud}/out", scorer, options)
    assert [file.status for file in first.files] == ["scored"] * 3
    second = score_parquet(f"{cloud}/in/", f"{cloud}/out/", scorer, options)
    assert [file.status for file in second.files] == ["reused"] * 3
    score_parquet(f"{cloud}/in", tmp_path / "out", scorer, options)
    bucket, host = cloud.split("//")[1].partition("@")[::2]
    other_name = bucket if host else f"{bucket}@{ACCOUNT}.dfs.core.windows.net"
    if not cloud.startswith("gs:"):
        with pytest.raises(CannotWriteError, match="must lie outside the input"):
            score_parquet(f"{cloud}/in", f"abfs://{other_name}/in/out", scorer, options)
    where = storage.absolute_location(f"{cloud}/out")
    there = storage_of(where).find(where).names
    assert there == storage_of(str(tmp_path)).find(str(tmp_path / "out")).names
    for name in set(there) - {"_MANIFEST.json"}:
        with storage_of(where).reading(f"{where}/{name}") as copy:
            assert Path(copy).read_bytes() == (tmp_path / "out" / name).read_bytes()
    assert verify_output(f"{cloud}/out", scorer).problems == ()
    some = score_parquet(f"{cloud}/in/day=*/*.parquet", f"{cloud}/some", scorer, options)
    assert [file.name for file in some.files] == ["day=1/b c.parquet", "day=2/ü.parquet"]
    storage_of(where).delete(f"{where}/a.parquet")
    storage_of(where).delete(f"{where}/a.parquet")
    assert "a.parquet" not in storage_of(where).find(where).names


def test_models_and_reviews_in_a_cloud(cloud: str, tiny_bundle: Bundle) -> None:
    where = storage.absolute_location(cloud)
    for file in FOLDER.glob("*.parquet"):
        with storage_of(where).writing(f"{where}/imdb/{file.name}") as name:
            Path(name).write_bytes(file.read_bytes())
    reviews = load_reviews(f"{cloud}/imdb", "train")
    assert reviews.fingerprint == load_reviews(FOLDER, "train").fingerprint
    registry = Registry.at(f"{cloud}/models/")
    register_bundle(tiny_bundle, evaluate_bundle(tiny_bundle, FOLDER)[0], registry)
    assert registry.ids() == [tiny_bundle.model_id]
    assert registry.load("@challenger").model_hash == tiny_bundle.model_hash


def test_what_is_not_there(cloud: str, tmp_path: Path, scorer: Scorer) -> None:
    pq.write_table(pa.table({"text": ["Good."]}), tmp_path / "in.parquet")
    scheme, _, rest = cloud.partition("://")
    elsewhere = f"{scheme}://no-such-bucket{rest[rest.find('@') :] if '@' in rest else ''}/a"
    for source in (f"{cloud}/nothing", f"{cloud}/*.parquet", elsewhere, f"{elsewhere}/*"):
        with pytest.raises(NoInputError, match=r"matches no file|there is no bucket"):
            score_parquet(source, tmp_path / "out", scorer)
    with pytest.raises(CannotWriteError, match="no-such-bucket"):
        score_parquet(tmp_path / "in.parquet", f"{elsewhere}/out.parquet", scorer)


def test_azure_needs_an_account(monkeypatch: pytest.MonkeyPatch, scorer: Scorer) -> None:
    storage.object_storage.cache_clear()
    for variable in ("CONNECTION_STRING", "ACCOUNT", "ACCOUNT_NAME"):
        monkeypatch.delenv(f"AZURE_STORAGE_{variable}", raising=False)
    with pytest.raises(ConfigurationError, match=r"must name its storage account.*CONTAINER@ACC"):
        score_parquet("abfs://container/in.parquet", "out.parquet", scorer)
