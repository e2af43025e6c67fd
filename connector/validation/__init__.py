"""JSON Schema: whether a value fits, and in our own words why not."""
