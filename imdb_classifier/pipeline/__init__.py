"""What the command line and the flows have in common: train, evaluate, promote."""
