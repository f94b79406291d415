"""Batch scoring: Parquet files in, Parquet files out."""
