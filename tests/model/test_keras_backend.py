from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imdb_classifier.errors import MissingExtraError
from imdb_classifier.model.keras_backend import import_keras

PROGRAM = """
import os, sys, warnings
os.dup2 = os.dup = lambda *_: sys.exit("standard error was redirected")
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "1"
from imdb_classifier.model.keras_backend import import_keras
keras = import_keras()
print(os.environ["TF_CPP_MIN_LOG_LEVEL"], keras.backend.backend())
with warnings.catch_warnings(record=True) as caught:
    vectors = keras.layers.Embedding(5, 2, mask_zero=True)(keras.Input((None,), dtype="int32"))
    keras.layers.GlobalMaxPooling1D()(vectors)
print(*(warning.category.__name__ for warning in caught if "mask" in str(warning.message)))
"""


def test_importing_keras_leaves_the_process_as_it_is() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["1 tensorflow", "UserWarning"]


def test_without_keras_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingExtraError, match=r"needs the package keras.*classifier\[train\]"):
        import_keras()


def test_a_keras_that_does_not_fit_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keras.py").write_text("from numpy import no_longer_there")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    with pytest.raises(ImportError, match="cannot import name 'no_longer_there' from 'numpy'"):
        import_keras()


SETTINGS = {
    "KERAS_BACKEND is torch": (None, {"KERAS_BACKEND": "torch"}),
    "floatx is float16": ({"floatx": "float16"}, {}),
}


@pytest.mark.parametrize("received", SETTINGS)
def test_another_backend_or_type_is_refused(tmp_path: Path, received: str) -> None:
    settings, variables = SETTINGS[received]
    if settings:
        (tmp_path / "keras.json").write_text(json.dumps(settings))
    program = "from imdb_classifier.model.keras_backend import import_keras as k; k()"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_HOME": str(tmp_path), **variables},
    )
    (line,) = [line for line in ran.stderr.splitlines() if "errors.ConfigurationError" in line]
    assert "Training a model needs" in line
    assert received in line
