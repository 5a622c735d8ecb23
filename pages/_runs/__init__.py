"""Parts of the screen Compare runs."""
