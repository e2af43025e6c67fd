"""Definition files: found, resolved, checked against the meta-schemas, and as typed values."""
