"""Text as token ids, n-grams and batches."""
