"""What n-grams say by themselves: their counts, the vectors of reviews, and their weights."""
