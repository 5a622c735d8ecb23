"""Dossiers, bundles, signed heads, and search of the audit log."""
