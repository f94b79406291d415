"""A large LSTM as a teacher: pretrained as a language model, then taught sentiment.

``python -m benchmarks.lstm_teacher`` needs the IMDB data set, PyTorch and a GPU, which no other
part of the project does, and takes nine minutes on one NVIDIA H200. It writes
``build/lstm_teacher.npz``; recipe ``production`` learns from the copy in
``imdb_classifier/training``. Phases end after given seconds and run side by side, so two runs
differ slightly: this is why the predictions are kept. Those in the package were written by an
earlier form of this program, with the same networks and settings; this form has been run without a
GPU only, on a small scale.

Two networks, one for each direction of reading, learn to predict the next token of the 75,000
reviews of train and unsupervised (Dai and Le, 2015, Semi-supervised Sequence Learning), with
dropped recurrent weights (Merity et al., 2018, Regularizing and Optimizing LSTM Language Models).
Each is then fine-tuned three times as a classifier of pooled states (Howard and Ruder, 2018,
Universal Language Model Fine-tuning), each time without one third of the labels, and with
adversarial word vectors (Miyato et al., 2017, Adversarial Training Methods for Semi-Supervised Text
Classification).
"""

from __future__ import annotations

import copy
import html
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from benchmarks.table import progress
from imdb_classifier.config import PRODUCTION
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.reviews.overlap import fingerprints_of, known_rows, row_fingerprints
from imdb_classifier.schema import TEXT
from imdb_classifier.training.data import random_split

RESULT: Final = Path("build/lstm_teacher.npz")
SEED: Final = 1
"""Of the bundled model: its validation reviews are those whose labels the teacher never sees."""
FOLDS: Final = 3
VOCABULARY: Final = 32_000
UNKNOWN, END = 1, 2
EMBEDDING, UNITS, LAYERS = 512, 1024, 2
HEAD, TAIL = 150, 650
"""Tokens of a long review that the classifier reads, at its beginning and end."""
PRETRAINING_SECONDS, TUNING_SECONDS = 300.0, 180.0
TUNING_EPOCHS: Final = 6
ADVERSARIAL_SHARE: Final = 0.02
"""Length of the adversarial change, as a share of the length of a review's word vectors."""
DEVICE: Final = "cuda" if torch.cuda.is_available() else "cpu"

_TOKEN: Final = re.compile(r"xxbr|n't|[^\W_]+(?:'[^\W_]+)*|\.{2,}|!+|\?+|[^\w\s]")
_BREAK: Final = re.compile(r"(?:<br\s*/?>\s*)+")
_NOT: Final = re.compile(r"n't\b")


def tokens_of(text: str) -> list[str]:
    """Return words, punctuation marks (repeated ones as two) and line breaks, in lower case."""
    plain = html.unescape(_BREAK.sub(" xxbr ", text)).replace(
        "\N{RIGHT SINGLE QUOTATION MARK}", "'"
    )
    found = _TOKEN.findall(_NOT.sub(" n't", plain.lower()))
    return [token[:2] if token[0] in ".!?" else token for token in found]


class LanguageModel(nn.Module):  # type: ignore[misc]
    """An LSTM that predicts the next token; word vectors are shared by its input and output."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, EMBEDDING)
        nn.init.normal_(self.words.weight, 0, 0.1)
        self.weights = nn.ParameterList()
        reach = 1 / math.sqrt(UNITS)
        for inputs in (EMBEDDING, *[UNITS] * (LAYERS - 1)):
            for columns in (inputs, UNITS):
                kernel = torch.empty(4 * UNITS, columns).uniform_(-reach, reach)
                self.weights.append(nn.Parameter(kernel))
            remember = torch.zeros(4 * UNITS)
            remember[UNITS : 2 * UNITS] = 1
            self.weights.extend([nn.Parameter(remember), nn.Parameter(torch.zeros(4 * UNITS))])
        self.project = nn.Linear(UNITS, EMBEDDING)
        self.bias = nn.Parameter(torch.zeros(VOCABULARY))
        self.half = torch.bfloat16 if DEVICE == "cuda" else torch.float32

    def states(self, vectors: Any, before: Any, dropout: float) -> tuple[Any, Any]:
        """Return the states at all times, (time, batch, UNITS), and those at the end."""
        dropped = [
            functional.dropout(weight, dropout, self.training) if index % 4 == 1 else weight
            for index, weight in enumerate(self.weights)
        ]
        rate = dropout if self.training else 0.0
        # nn.LSTM takes no weights as arguments, and dropped ones are new at every step.
        states, *after = torch._VF.lstm(
            vectors.to(self.half), before, [weight.to(self.half) for weight in dropped],
            True, LAYERS, rate, self.training, False, False,
        )  # fmt: skip
        return states, tuple(after)

    def zeros(self, batch: int) -> tuple[Any, Any]:
        """Return the states before the first token."""
        first = torch.zeros(LAYERS, batch, UNITS, device=DEVICE, dtype=self.half)
        return first, first.clone()

    def loss(self, states: Any, targets: Any) -> Any:
        """Return the mean cross-entropy of the next tokens."""
        projected = locked(self.project(locked(states, 0.2).float()), 0.1)
        with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=DEVICE == "cuda"):
            logits = functional.linear(projected.flatten(0, 1), self.words.weight, self.bias)
        return functional.cross_entropy(logits.float(), targets.flatten())


class Classifier(nn.Module):  # type: ignore[misc]
    """A language model whose last, largest and mean states are classified."""

    def __init__(self, language_model: LanguageModel) -> None:
        super().__init__()
        self.language_model = language_model
        self.hidden, self.positive = nn.Linear(3 * UNITS, 64), nn.Linear(64, 1)

    def forward(self, vectors: Any, lengths: Any) -> Any:
        """Return the log-odds of *positive*, (batch,), from vectors, (time, batch, EMBEDDING)."""
        model = self.language_model
        read = locked(vectors, 0.3) if self.training else vectors
        states, _ = model.states(read, model.zeros(read.shape[1]), 0.3)
        times = torch.arange(len(states), device=DEVICE)[:, None]
        within = (times < lengths[None, :])[..., None]
        last = states[lengths - 1, torch.arange(len(lengths), device=DEVICE)]
        largest = states.masked_fill(~within, -2.0).amax(0)
        mean = (states * within).sum(0) / lengths[:, None].to(states.dtype)
        pooled = torch.cat([last, largest, mean], 1).float()
        hidden = functional.relu(self.hidden(functional.dropout(pooled, 0.4, self.training)))
        return self.positive(functional.dropout(hidden, 0.2, self.training))[:, 0]


def locked(values: Any, share: float) -> Any:
    """Drop the same elements at all times (Gal and Ghahramani, 2016)."""
    kept = torch.empty(1, *values.shape[1:], device=values.device, dtype=values.dtype)
    return values * kept.bernoulli_(1 - share) / (1 - share)


def rate_at(passed: float, warm_up: float) -> float:
    """Return the share of the learning rate when a share of the time has passed."""
    if passed < warm_up:
        return passed / warm_up
    return 0.5 * (1 + math.cos(math.pi * (passed - warm_up) / (1 - warm_up))) + 0.005


def pretrain(model: LanguageModel, documents: Sequence[NDArray[np.int64]], seed: int) -> None:
    """Train a language model on the documents until its time is over."""
    generator = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, (0.8, 0.99), weight_decay=0.01)
    batch, steps, started = 128, 200, time.monotonic()
    model.train()
    while True:
        order = generator.permutation(len(documents))
        stream = np.concatenate([np.append(documents[row], END) for row in order])
        columns = len(stream) // batch
        rows = torch.from_numpy(stream[: batch * columns].reshape(batch, columns).T.copy())
        data, before = rows.to(DEVICE), model.zeros(batch)
        for first in range(0, columns - 1, steps):
            passed = (time.monotonic() - started) / PRETRAINING_SECONDS
            if passed >= 1:
                return
            optimizer.param_groups[0]["lr"] = 3e-3 * rate_at(passed, 0.05)
            targets = data[first + 1 : first + 1 + steps]
            vectors = locked(model.words(data[first : first + len(targets)]), 0.15)
            states, after = model.states(vectors, before, 0.15)
            before = tuple(state.detach() for state in after)
            optimizer.zero_grad()
            model.loss(states, targets).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()


def tune(
    classifier: Classifier,
    documents: Sequence[NDArray[np.int64]],
    labels: NDArray[np.int8],
    rows: NDArray[np.int64],
    seed: int,
) -> None:
    """Teach a classifier the labels of some rows, with and without adversarial word vectors."""
    generator, batch = np.random.default_rng(seed), 96
    model = classifier.language_model
    parts = (
        (model.words.parameters(), 3e-4),
        (model.weights.parameters(), 6e-4),
        ([*classifier.hidden.parameters(), *classifier.positive.parameters()], 2e-3),
    )
    optimizer = torch.optim.AdamW(
        [{"params": list(part), "peak": peak} for part, peak in parts],
        betas=(0.8, 0.99), weight_decay=0.01,
    )  # fmt: skip
    steps, done, started = TUNING_EPOCHS * -(-len(rows) // batch), 0, time.monotonic()
    classifier.train()
    while True:
        for chosen in shuffled_batches(documents, rows, batch, generator):
            passed = max(done / steps, (time.monotonic() - started) / TUNING_SECONDS)
            if passed >= 1:
                return
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * rate_at(passed, 0.1)
            ids, lengths = padded(documents, chosen)
            ids = torch.where(torch.rand(ids.shape, device=DEVICE) < 0.05, UNKNOWN, ids)
            targets = torch.from_numpy(labels[chosen].astype(np.float32)).to(DEVICE)
            optimizer.zero_grad()
            vectors = model.words(ids).detach().requires_grad_()
            loss_of(classifier(vectors, lengths), targets).backward()
            slopes = vectors.grad
            model.words(ids).backward(slopes)
            changed = model.words(ids) + adversarial(vectors.detach(), slopes, lengths)
            loss_of(classifier(changed, lengths), targets).backward()
            nn.utils.clip_grad_norm_(classifier.parameters(), 1.0)
            optimizer.step()
            done += 1


def loss_of(log_odds: Any, targets: Any) -> Any:
    """Return the mean binary cross-entropy."""
    return functional.binary_cross_entropy_with_logits(log_odds, targets)


def adversarial(vectors: Any, slopes: Any, lengths: Any) -> Any:
    """Return the change of each review's word vectors, of a given length, that hurts most."""
    within = (torch.arange(len(vectors), device=DEVICE)[:, None] < lengths[None, :])[..., None]
    uphill, held = slopes * within, vectors * within
    reach = ADVERSARIAL_SHARE * held.square().sum((0, 2), keepdim=True).sqrt()
    return reach * uphill / (uphill.square().sum((0, 2), keepdim=True).sqrt() + 1e-12)


def shuffled_batches(
    documents: Sequence[NDArray[np.int64]],
    rows: NDArray[np.int64],
    batch: int,
    generator: np.random.Generator,
) -> Iterator[NDArray[np.int64]]:
    """Yield all rows in batches of similar length, in random order."""
    lengths = np.array([len(document) for document in documents])
    order = generator.permutation(rows)
    found = [
        bucket[np.argsort(lengths[bucket], kind="stable")][first : first + batch]
        for bucket in np.array_split(order, max(1, len(order) // (40 * batch)))
        for first in range(0, len(bucket), batch)
    ]
    for index in generator.permutation(len(found)):
        yield found[index]


def padded(documents: Sequence[NDArray[np.int64]], rows: NDArray[np.int64]) -> tuple[Any, Any]:
    """Return token ids, (time, batch), padded at the end, and lengths, (batch,)."""
    lengths = np.array([len(documents[row]) for row in rows])
    ids = np.zeros((lengths.max(), len(rows)), np.int64)
    for column, row in enumerate(rows):
        ids[: lengths[column], column] = documents[row]
    return torch.from_numpy(ids).to(DEVICE), torch.from_numpy(lengths).to(DEVICE)


def predict(classifier: Classifier, documents: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
    """Return the log-odds of *positive* of all documents: float32, (documents,)."""
    classifier.eval()
    log_odds = np.empty(len(documents), np.float32)
    order = np.argsort([len(document) for document in documents], kind="stable")
    for rows in np.array_split(order, -(-len(order) // 256)):
        ids, lengths = padded(documents, rows)
        with torch.no_grad():
            vectors = classifier.language_model.words(ids)
            log_odds[rows] = classifier(vectors, lengths).float().cpu().numpy()
    return log_odds


def side_by_side(works: Sequence[Callable[[], None]]) -> None:
    """Run functions in threads, each with a stream of its own on the GPU."""
    failed: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            if DEVICE == "cuda":
                with torch.cuda.stream(torch.cuda.Stream()):
                    work()
                    torch.cuda.current_stream().synchronize()
            else:
                work()
        except BaseException as error:
            failed.append(error)

    threads = [Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def main() -> None:
    """Train all networks and save the mean of their log-odds."""
    torch.manual_seed(SEED)
    train, unlabeled, test = (
        load_reviews(None, name) for name in ("train", "unsupervised", "test")
    )
    texts = [text for part in (train, unlabeled, test) for text in part.table[TEXT].to_pylist()]
    found = [tokens_of(text) for text in texts]
    learned = len(train) + len(unlabeled)
    counted = Counter(token for tokens in found[:learned] for token in tokens)
    most = counted.most_common(VOCABULARY - END - 1)
    ids = {token: rank + END + 1 for rank, (token, _) in enumerate(most)}
    whole = [np.array([ids.get(token, UNKNOWN) for token in tokens or ["."]]) for tokens in found]
    cut = [
        tokens if len(tokens) <= HEAD + TAIL else np.concatenate([tokens[:HEAD], tokens[-TAIL:]])
        for tokens in whole
    ]
    _, validation = random_split(len(train), PRODUCTION.training.validation_fraction, SEED)
    held = known_rows(train.table, fingerprints_of([train.table.take(validation)]))
    _, groups = np.unique(texts[: len(train)], return_inverse=True)
    fold = np.random.default_rng(SEED).integers(FOLDS, size=groups.max() + 1)[groups]

    ways = [slice(None), slice(None, None, -1)]
    models = [LanguageModel().to(DEVICE) for _ in ways]
    side_by_side(
        [
            partial(pretrain, model, [row[way] for row in whole[:learned]], SEED)
            for way, model in zip(ways, models, strict=True)
        ]
    )
    progress(pretrained=len(models))
    log_odds = np.empty((len(ways), FOLDS, len(texts)), np.float32)

    def learn(direction: int, out: int) -> None:
        documents = [row[ways[direction]] for row in cut]
        classifier = Classifier(copy.deepcopy(models[direction])).to(DEVICE)
        rows = np.flatnonzero(~held & (fold != out))
        tune(classifier, documents, train.labels, rows, FOLDS * direction + out)
        log_odds[direction, out] = predict(classifier, documents)

    side_by_side([partial(learn, way, out) for out in range(FOLDS) for way in range(len(ways))])
    mean = log_odds.mean((0, 1))
    labeled = np.flatnonzero(~held)
    mean[labeled] = log_odds[:, fold[labeled], labeled].mean(0)
    RESULT.parent.mkdir(exist_ok=True)
    np.savez(
        RESULT,
        log_odds=mean.astype(np.float16),
        held=held,
        data=np.array([train.fingerprint, unlabeled.fingerprint, test.fingerprint]),
        prints=np.concatenate([row_fingerprints(part.table) for part in (train, unlabeled)]),
    )
    right = (mean[learned:] > 0) == (test.labels == 1)
    progress(accuracy=round(float(right.mean()), 4), device=DEVICE, torch=torch.__version__)


if __name__ == "__main__":
    main()
