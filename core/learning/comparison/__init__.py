"""Comparison: whether two models that scored the same rows differ, with intervals and tests."""
