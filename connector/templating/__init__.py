"""Jinja's syntax for expressions and for payload templates."""
