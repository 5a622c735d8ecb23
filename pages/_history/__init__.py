"""The state as of an earlier date, for the screens that show it."""
