"""Notifications: what is worth a message, who gets it, and the sender in the worker."""
