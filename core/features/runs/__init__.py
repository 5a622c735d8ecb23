"""Runs and registered models: read and compare."""
