"""The contenders: ways to score reviews, each in its own process.

``python -m benchmarks.contenders NAME`` loads or fits one of them and prints a line of JSON when it
is ready. Then it reads lines of JSON from standard input, scores the file that each line names, and
prints how long that took.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.reviews import is_real, reviews
from imdb_classifier.config import SEED
from imdb_classifier.model.bundle import KERAS_FILE, Bundle
from imdb_classifier.model.engines import EngineChoice
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.schema import LABEL, TEXT
from imdb_classifier.scoring.cores import available_cores

BATCH_SIZES = (50, 125, 250, 500, 1_000)
"""Divisors of 25,000, so all batches have the same shape and `jit_compile` compiles only once."""
TUNING_ROWS = 1_000

MODELS = Path("build/bench-models")
SEED_OF_SEED = 1
"""The first seed, not the best one; `benchmarks.seeds` measures the spread."""


def seed_bundle() -> Bundle:
    """Return the model of recipe `seed`, trained on IMDB at the first call.

    Without the data set, return the bundled model.
    """
    from imdb_classifier.pipeline.train import train_bundle

    if not is_real():
        return Registry.at().load(CHAMPION)
    return train_bundle(None, SEED.name, SEED_OF_SEED, MODELS)


class Contender(Protocol):
    """Scores a Parquet file with a text column, as its users would."""

    remark: str

    def score(self, source: str, target: str) -> None:
        """Write a copy of the file with the label and the probability of *positive*."""


class Tutorial:
    """pandas, tokenizing in Python, `pad_sequences(500)`, `model.predict`."""

    def __init__(self, *, jit_compile: bool) -> None:
        from imdb_classifier.model.keras_backend import import_keras
        from imdb_classifier.model.network import build_network

        keras = import_keras()
        self._length = SEED.encoding.sequence_length
        if is_real():
            bundle = seed_bundle()
            words = bundle.vocabulary.words
            self._model = keras.models.load_model(bundle.path / KERAS_FILE)
        else:  # there is nothing to learn from generated text
            words = Registry.at().load(CHAMPION).vocabulary.words
            self._model = build_network(SEED.encoding, SEED.network, seed=1)
        kept = words.slice(0, SEED.encoding.vocabulary_words).to_pylist()
        self._ids = {word: rank + 4 for rank, word in enumerate(kept)}
        self._model.compile(jit_compile=jit_compile)
        self._pad = keras.utils.pad_sequences
        self._spaces = str.maketrans(dict.fromkeys('!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n', " "))
        encoded = self._encode(reviews("test")[TEXT].slice(0, TUNING_ROWS).to_pylist())
        seconds = {}
        for size in BATCH_SIZES:
            self._predict(encoded, size)  # compiles
            started = time.perf_counter()
            self._predict(encoded, size)
            seconds[size] = time.perf_counter() - started
        self._batch_size = min(seconds, key=seconds.__getitem__)
        self.remark = f"batches of {self._batch_size}"

    def score(self, source: str, target: str) -> None:
        """See `Contender`."""
        frame = pd.read_parquet(source)
        probabilities = self._predict(self._encode(frame[TEXT]), self._batch_size)
        _write(frame, probabilities, target)

    def _encode(self, texts: Any) -> NDArray[np.int32]:
        sequences = []
        for text in texts:
            words = text.lower().translate(self._spaces).split()
            sequences.append([1, *(self._ids.get(word, 2) for word in words)])
        padded: NDArray[np.int32] = self._pad(sequences, maxlen=self._length)
        return padded

    def _predict(self, encoded: NDArray[np.int32], batch_size: int) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._model.predict(encoded, batch_size=batch_size, verbose=0)
        return found[:, 0]


class Linear:
    """TF-IDF of words and word pairs with logistic regression, in scikit-learn."""

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        train = reviews("train")
        started = time.perf_counter()
        self._model = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, dtype=np.float32),
            LogisticRegression(C=10, max_iter=200),
        )
        self._model.fit(train[TEXT].to_pylist(), train[LABEL].to_numpy())
        self.remark = f"one thread; {_fitted(started, len(pickle.dumps(self._model)))}"

    def score(self, source: str, target: str) -> None:
        """See `Contender`."""
        frame = pd.read_parquet(source)
        _write(frame, self._model.predict_proba(frame[TEXT])[:, 1], target)


class Averaged:
    """The mean of two logistic regressions on n-grams of up to three words, in scikit-learn.

    One weights the n-grams by TF-IDF, the other by log count ratios (Wang and Manning, 2012).
    """

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import normalize

        train = reviews("train")
        started = time.perf_counter()
        labels = train[LABEL].to_numpy()
        self._count = CountVectorizer(ngram_range=(1, 3), min_df=2, dtype=np.float32)
        counts = self._count.fit_transform(train[TEXT].to_pylist())
        self._tf_idf = TfidfTransformer(sublinear_tf=True).fit(counts)
        shares = [(counts[labels == label] > 0).sum(axis=0) + 1 for label in (1, 0)]
        positive, negative = (np.asarray(share).ravel() / share.sum() for share in shares)
        self._ratios = np.log(positive / negative).astype(np.float32)
        self._normalize = normalize
        self._models = [
            LogisticRegression(C=c, max_iter=60).fit(features, labels)
            for c, features in zip((30, 10), self._features(counts), strict=True)
        ]
        fitted = pickle.dumps((self._count, self._tf_idf, self._ratios, self._models))
        self.remark = f"one thread; {_fitted(started, len(fitted))}"

    def score(self, source: str, target: str) -> None:
        """See `Contender`."""
        frame = pd.read_parquet(source)
        features = self._features(self._count.transform(frame[TEXT]))
        log_odds = [
            model.decision_function(feature)
            for model, feature in zip(self._models, features, strict=True)
        ]
        _write(frame, 1 / (1 + np.exp(-np.mean(log_odds, axis=0))), target)

    def _features(self, counts: Any) -> tuple[Any, Any]:
        weighted = (counts > 0).multiply(self._ratios).tocsr()
        return self._tf_idf.transform(counts), self._normalize(weighted)


class FastText:
    """fastText with word pairs, 64 dimensions and 10 epochs, in one or several processes."""

    def __init__(self, processes: int) -> None:
        import fasttext

        self._folder = tempfile.TemporaryDirectory()
        file, model_file = (Path(self._folder.name) / name for name in ("train.txt", "model.bin"))
        train = reviews("train")
        lines = [
            f"__label__{label} {text}\n"
            for label, text in zip(
                train[LABEL].to_pylist(), _plain(train[TEXT].to_pylist()), strict=True
            )
        ]
        started = time.perf_counter()
        # fastText learns line by line, and the data set is sorted by label.
        random.Random(1).shuffle(lines)
        file.write_text("".join(lines), "utf-8")
        model = fasttext.train_supervised(
            str(file), epoch=10, wordNgrams=2, dim=64, thread=1, verbose=0, seed=1
        )
        self._predict: Callable[[list[str]], list[float]] = partial(_fasttext_predict, model)
        model.save_model(str(model_file))
        self.remark = f"one thread; {_fitted(started, model_file.stat().st_size)}"
        if processes > 1:
            self._pool = ProcessPoolExecutor(
                processes,
                mp_context=get_context("spawn"),
                initializer=_load_fasttext,
                initargs=(str(model_file),),
            )
            self._predict = self._predict_side_by_side
            self.remark = f"{processes} processes"

    def score(self, source: str, target: str) -> None:
        """See `Contender`."""
        frame = pd.read_parquet(source)
        _write(frame, np.array(self._predict(frame[TEXT].to_list()), np.float32), target)

    def _predict_side_by_side(self, texts: list[str]) -> list[float]:
        chunks = [texts[start : start + 1_024] for start in range(0, len(texts), 1_024)]
        return [p for chunk in self._pool.map(_loaded_fasttext_predict, chunks) for p in chunk]


class Ours:
    """This project's `score_parquet`, with the bundled model or another one."""

    def __init__(
        self, bundle: Callable[[], Bundle] | None = None, engine: EngineChoice = "auto"
    ) -> None:
        from imdb_classifier import Scorer, score_parquet

        model = bundle() if bundle else Registry.at().load(CHAMPION, engine)
        self._scorer, self._score = Scorer(model), score_parquet
        self.remark = f"{model.model_id}, {model.engine.name} engine"

    def score(self, source: str, target: str) -> None:
        """See `Contender`."""
        self._score(source, target, self._scorer)


class Frame:
    """`score_dataframe`, with pandas to read and write the files."""

    def __init__(self) -> None:
        from imdb_classifier import Scorer, score_dataframe

        self._scorer, self._score = Scorer.load(), score_dataframe
        self.remark = f"{self._scorer.bundle.engine.name} engine"

    def score(self, source: str, target: str) -> None:
        """See `Contender`."""
        frame = self._score(pd.read_parquet(source), model=self._scorer)
        frame.to_parquet(target, compression="zstd", index=False)


class Flow:
    """The Prefect flow `score-parquet`, with its server on this machine."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        os.environ |= {
            "PREFECT_HOME": self._folder.name,
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "240",
        }
        os.environ.pop("PREFECT_API_URL", None)
        from flows.score import score_parquet

        self._flow = score_parquet
        self.remark = "server and SQLite on the same cores"

    def score(self, source: str, target: str) -> None:
        """See `Contender`."""
        self._flow(source, target)


CONTENDERS: dict[str, Callable[[], Contender]] = {
    "tutorial": partial(Tutorial, jit_compile=False),
    "tutorial, jit_compile": partial(Tutorial, jit_compile=True),
    "TF-IDF and logistic regression": Linear,
    "n-gram models, averaged": Averaged,
    "fastText": partial(FastText, 1),
    "fastText, all cores": partial(FastText, available_cores()),
    "ours": Ours,
    "ours without the extra `fast`": partial(Ours, engine="onnx"),
    "ours, recipe seed": partial(Ours, seed_bundle),
    "ours, score_dataframe": Frame,
    "ours, flow score-parquet": Flow,
}


def main(name: str) -> None:
    """Prepare a contender, then score the files named on standard input until it ends."""
    # Standard output is for JSON only: what libraries print goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contender = CONTENDERS[name]()
    print(json.dumps({"remark": contender.remark}), file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        started, processor = time.perf_counter(), time.process_time()
        contender.score(order["source"], order["target"])
        seconds = time.perf_counter() - started
        busy = (time.process_time() - processor) / seconds
        print(json.dumps({"seconds": seconds, "busy_cores": busy}), file=answers, flush=True)


def _fitted(started: float, size: int) -> str:
    return f"fitted in {time.perf_counter() - started:.0f} s, {size / 1e6:.0f} MB"


def _write(frame: pd.DataFrame, probabilities: NDArray[np.floating[Any]], target: str) -> None:
    frame["sentiment_label"] = np.where(probabilities >= 0.5, "positive", "negative")
    frame["sentiment_probability"] = probabilities.astype(np.float32)
    frame.to_parquet(target, compression="zstd", index=False)


_PUNCTUATION = re.compile(r"([.!?,;:'\"()/])")


def _plain(texts: list[str]) -> list[str]:
    """Return texts as fastText's documentation prepares them: lowercase, spaced, on one line."""
    return [
        _PUNCTUATION.sub(r" \1 ", text.lower()).replace("<br", " ").replace("\n", " ")
        for text in texts
    ]


def _fasttext_predict(model: Any, texts: list[str]) -> list[float]:
    found, probabilities = model.predict(_plain(texts))
    return [
        float(p[0]) if label[0] == "__label__1" else 1 - float(p[0])
        for label, p in zip(found, probabilities, strict=True)
    ]


_fasttext_model: Any = None


def _load_fasttext(file: str) -> None:
    global _fasttext_model
    import fasttext

    _fasttext_model = fasttext.load_model(file)


def _loaded_fasttext_predict(texts: list[str]) -> list[float]:
    return _fasttext_predict(_fasttext_model, texts)


if __name__ == "__main__":
    main(sys.argv[1])
