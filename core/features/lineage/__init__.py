"""Lineage: from data to predictions and back."""
