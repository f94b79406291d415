"""What happens around an epoch: checkpoints, and callbacks of Keras."""
