"""A connection file: one customer's settings, references to secrets, and routes."""
