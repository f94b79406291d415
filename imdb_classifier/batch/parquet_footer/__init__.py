"""Parquet footers: read, extended by columns, and written again."""
