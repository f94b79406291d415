"""How right the labels of a scored batch are, from few rows that somebody labels by hand."""
