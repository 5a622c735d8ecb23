"""Artifacts of runs and model versions: where they may lie, and their files."""
