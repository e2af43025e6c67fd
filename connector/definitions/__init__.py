"""Definition files: find, resolve, check against the meta-schemas, and read as typed values."""
