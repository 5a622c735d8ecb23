"""Runs and registered models: show and compare them."""
