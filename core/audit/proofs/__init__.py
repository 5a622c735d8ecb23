"""Proofs over the audit log: Merkle trees, checkpoints, signed heads, verification."""
