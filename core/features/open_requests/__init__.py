"""Open requests as they are now."""
