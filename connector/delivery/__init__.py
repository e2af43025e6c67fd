"""Delivery: requests over HTTP, in order, at the vendor's pace, and one outcome for each record."""
