"""Training, evaluation and promotion, shared by the command line and the flows."""
