"""The setup guide of a destination, as Markdown."""
