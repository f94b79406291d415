from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imdb_classifier.errors import MissingExtraError
from imdb_classifier.reviews.dataset import ENCODED_REVIEWS
from imdb_classifier.reviews.load import load_reviews
from tests.extras import needs


def write_keras_files(folder: Path) -> None:
    folder.mkdir(parents=True)
    rows = np.empty(3, dtype=object)
    rows[:] = [[1, 2], [88584], [3, 1, 2]]
    np.savez(folder / "imdb.npz", x_train=rows, y_train=[0, 1, 1], x_test=rows[:1], y_test=[0])
    (folder / "imdb_word_index.json").write_text('{"a": 2, "the": 1, "caf\\u00e9": 3}')


def test_missing_keras_names_the_extra(
    tmp_path: Path, publish: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "keras" / "datasets"
    write_keras_files(folder)
    publish(folder / "imdb.npz", "KERAS_IDS")
    publish(folder / "imdb_word_index.json", "KERAS_WORDS")
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(
        MissingExtraError, match=r"keras source needs .* keras\..*classifier\[train"
    ):
        load_reviews("keras", "train")


# In a process of its own: Keras takes KERAS_HOME when it is imported, and its loader compares with
# the published checksum, which only the published file has.
KERAS_SCRIPT = """
import hashlib, json, os, sys
from dataclasses import replace
from pathlib import Path
import keras
from keras.src.datasets import imdb as keras_imdb
from keras.src.utils import file_utils
from imdb_classifier.reviews import sources
from imdb_classifier.reviews.load import load_reviews

def retrieve(url, *args):
    assert url.startswith("file:"), url
    return original(url, *args)

original, file_utils.urlretrieve = file_utils.urlretrieve, retrieve
keras_imdb.get_file = lambda fname, origin, file_hash: file_utils.get_file(fname, origin)
files = Path(sys.argv[1])
for name in ("KERAS_IDS", "KERAS_WORDS"):
    file = getattr(sources, name)
    digest = hashlib.new(file.algorithm, (files / file.name).read_bytes()).hexdigest()
    setattr(sources, name, replace(file, digest=digest))

os.environ["KERAS_HOME"] = str(files.parent)
train, test = load_reviews("keras", "train"), load_reviews("keras", "test", download=True)
shown = [train.source, train.words, train.table.to_pydict(), test.table.to_pydict()]
print(json.dumps([*shown, str(train.table.schema), train.left_out, len(train.fingerprint)]))
"""


@needs("keras", "train")
def test_keras_source(tmp_path: Path) -> None:
    write_keras_files(tmp_path / "filled" / "datasets")
    home = tmp_path / "home"
    environment = {**os.environ, "KERAS_HOME": str(home)}
    finished = subprocess.run(
        [sys.executable, "-c", KERAS_SCRIPT, str(tmp_path / "filled" / "datasets")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    source, words, train, test, schema, left_out, digits = json.loads(
        finished.stdout.splitlines()[-1]
    )
    nothing = {"null": 0, "blank": 0, "unlabeled": 0}
    assert (source, words, left_out, digits) == ("keras", ["the", "a", "caf\u00e9"], nothing, 64)
    assert schema == str(ENCODED_REVIEWS)
    # Start 1, the word of rank r is r + 3, and no id is capped; rows as Keras shuffles them.
    rows = list(zip(train["token_ids"], train["label"], strict=True))
    assert sorted(rows) == [([1, 4, 5], 0), ([1, 6, 4, 5], 1), ([1, 88587], 1)]
    assert test == {"token_ids": [[1, 4, 5]], "label": [0]}
    # Keras was imported with another home: it got a copy, and did not go to the network.
    assert (home / "datasets" / "imdb.npz").is_file()
