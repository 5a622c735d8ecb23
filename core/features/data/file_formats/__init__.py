"""Formats of the files that people bring: CSV in its many spellings, and Parquet."""
