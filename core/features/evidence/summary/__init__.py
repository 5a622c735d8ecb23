"""The summary of a dossier: what the facts say, in sentences."""
