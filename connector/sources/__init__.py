"""Events out of files: NDJSON, JSON, CSV, Parquet, plain or gzipped."""
