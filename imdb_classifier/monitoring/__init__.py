"""Input drift: whether scored data still looks like the reviews that the model was evaluated on."""
