"""Parts of the screen Settings."""
