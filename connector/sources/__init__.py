"""Read events from files: NDJSON, JSON, CSV, Parquet, plain or gzipped."""
