"""Scoring a pinned data version with a model version."""
