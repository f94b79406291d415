"""Training: from reviews to a trained Keras model."""
