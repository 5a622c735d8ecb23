"""Parts of the screen Models."""
