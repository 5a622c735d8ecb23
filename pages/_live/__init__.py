"""Parts of every screen that stay up to date while the screen is open."""
