"""Authentication schemes: what is added to a request before it is sent."""
