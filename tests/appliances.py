"""Texts that are neither praise nor blame of a film."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

SAID = {
    1: ["arrived early", "fits the door", "holds its charge", "still runs"],
    0: ["arrived late", "does not fit", "lost its charge", "stopped after days"],
}


def appliances(rows: int, seed: int) -> pa.Table:
    """Return what people say of appliances, with labels: columns text and label."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(2, size=rows)
    things = ["kettle", "battery", "shelf", "lamp", "phone", "chair"]
    persons = ["aunt", "son", "boss"]
    texts = [
        f"Number {generator.integers(10_000)}: the {generator.choice(things)} "
        f"{generator.choice(SAID[int(label)])}, says my {generator.choice(persons)}."
        for label in labels
    ]
    return pa.table({"text": texts, "label": labels})
