"""Training a recipe on a pinned data version."""
