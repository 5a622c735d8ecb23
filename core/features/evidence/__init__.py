"""Dossiers, bundles, signed heads and the search of the audit log."""
