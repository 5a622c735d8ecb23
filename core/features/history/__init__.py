"""The state as of an earlier date."""
