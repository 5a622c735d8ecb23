"""Parts of the screen Audit log."""
