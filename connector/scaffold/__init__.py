"""The files of a new destination."""
