"""Drawings of a dossier: vector pictures that PDF and HTML show alike."""
