"""Requests, gates, decisions and rollbacks."""
