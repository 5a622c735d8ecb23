"""Parts of the screen Lineage."""
