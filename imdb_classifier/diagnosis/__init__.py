"""What the command `doctor` checks."""
