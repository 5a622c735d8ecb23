"""Security: who gets in, what comes out."""
