"""Requests for a stage, the gates, decisions and rollbacks."""
