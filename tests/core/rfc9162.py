"""The check of an inclusion proof, written from RFC 9162, section 2.1.3.2."""

from __future__ import annotations

from collections.abc import Sequence

from core.audit.proofs.merkle import node_hash


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that *path* leads to from the leaf hash, None where the path has the wrong length."""
    if not 0 <= index < size:
        return None
    place, last, root = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            root = node_hash(sibling, root)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            root = node_hash(root, sibling)
        place >>= 1
        last >>= 1
    return root if last == 0 else None


def proves_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Return whether *path* proves that the leaf hash is number *index* (from 0) of the tree with *root*."""
    return root_from_inclusion(leaf, index, size, path) == root
