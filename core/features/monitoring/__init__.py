"""Differences between the registry and the decisions, findings, and the overview."""
