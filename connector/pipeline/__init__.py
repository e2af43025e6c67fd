"""From an event to a request and from an answer to an outcome; pure, time is an argument."""
