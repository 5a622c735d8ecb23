"""Parts of the screen Training."""
