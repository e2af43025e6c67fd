"""Small helpers independent of destinations: times, and JSON and YAML files."""
