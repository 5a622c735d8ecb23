"""The state at an earlier time, from the audit log."""
