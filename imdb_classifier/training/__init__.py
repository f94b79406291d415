"""Training: from reviews to a fitted Keras model."""
