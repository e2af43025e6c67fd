"""JSON Schema: whether a value is valid, and why not, in our own words."""
