"""Parts of the screen Tables."""
