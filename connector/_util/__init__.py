"""Small helpers that know nothing of destinations: times, and JSON and YAML files."""
