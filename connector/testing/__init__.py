"""Cases: mappings under test, with snapshots of what is sent."""
