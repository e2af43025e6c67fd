"""Calls: requests without people, such as those that list and create audiences."""
