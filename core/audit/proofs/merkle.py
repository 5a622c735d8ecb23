"""Merkle trees in the shapes of RFC 9162 (section 2.1): roots, inclusion and consistency proofs, and their checks.

A leaf is SHA-256(0x00 || data), a node SHA-256(0x01 || left || right). `Frontier` grows a tree leaf by leaf in
log2(n) hashes of memory; `Tree` makes proofs over leaves that lie elsewhere, one hash in memory per 256 of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

_HASH_BYTES = 32
_BLOCK_LEVEL = 8
_BLOCK = 1 << _BLOCK_LEVEL

EMPTY_ROOT = hashlib.sha256().digest()

# Leaf hashes from a first index (inclusive) to a last one (exclusive), in order.
Leaves = Callable[[int, int], Iterable[bytes]]


def leaf_hash(data: bytes) -> bytes:
    """Hash of one leaf over its data."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node over its children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that only grows: the hashes of its perfect subtrees from left to right, at most one of each size."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """*hashes* as `hashes` gave them for a tree of *size* leaves. Raises ValueError where they do not fit."""
        levels = [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]
        if size < 0 or len(hashes) != len(levels) or any(len(one) != _HASH_BYTES for one in hashes):
            raise ValueError(f"a tree of {size} leaves has {len(levels)} perfect subtrees of 32 bytes each")
        self._stack = list(zip(levels, hashes, strict=True))
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Perfect subtrees, the largest first: all that is needed to go on from here."""
        return tuple(one for _, one in self._stack)

    def add(self, leaf: bytes) -> None:
        """Appends one leaf hash."""
        self._push(0, leaf)

    def _push(self, level: int, subtree: bytes) -> None:
        self._size += 1 << level
        while self._stack and self._stack[-1][0] == level:
            subtree = node_hash(self._stack.pop()[1], subtree)
            level += 1
        self._stack.append((level, subtree))

    def root(self) -> bytes:
        """Root of the tree as it is now."""
        if not self._stack:
            return EMPTY_ROOT
        found = self._stack[-1][1]
        for _, left in reversed(self._stack[:-1]):
            found = node_hash(left, found)
        return found


class Tree:
    """The tree over the first *size* leaves of *leaves*: reads them once, then only the blocks a proof goes through."""

    def __init__(self, size: int, leaves: Leaves) -> None:
        self.size = size
        self._leaves = leaves
        self._blocks: list[bytes] = []
        stream = iter(leaves(0, size))
        for _ in range(size >> _BLOCK_LEVEL):
            self._blocks.append(_perfect(list(islice(stream, _BLOCK))))

    def root(self, size: int | None = None) -> bytes:
        """Root over the first *size* leaves (default all)."""
        return self._subtree(0, self.size if size is None else size)

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """Audit path of the leaf *index* (from 0) in the tree of the first *size* leaves. Raises ValueError."""
        size = self.size if size is None else size
        if not 0 <= index < size <= self.size:
            raise ValueError(f"no leaf {index} in a tree of {size} leaves")
        path: list[bytes] = []
        first, last = 0, size
        while last - first > 1:
            middle = first + _split(last - first)
            if index < middle:
                path.append(self._subtree(middle, last))
                last = middle
            else:
                path.append(self._subtree(first, middle))
                first = middle
        return tuple(reversed(path))

    def consistency(self, old: int, new: int | None = None) -> tuple[bytes, ...]:
        """Proof that the tree of *new* leaves begins with the tree of *old* leaves. Raises ValueError."""
        new = self.size if new is None else new
        if not 0 < old <= new <= self.size:
            raise ValueError(f"no proof from {old} to {new} leaves")
        proof: list[bytes] = []
        first, last, is_whole = 0, new, True
        while old != last:
            middle = first + _split(last - first)
            if old <= middle:
                proof.append(self._subtree(middle, last))
                last = middle
            else:
                proof.append(self._subtree(first, middle))
                first, is_whole = middle, False
        if not is_whole:
            proof.append(self._subtree(first, last))
        return tuple(reversed(proof))

    def _subtree(self, first: int, last: int) -> bytes:
        """Hash over leaves first..last; *first* is a multiple of the subtree's width, as all in proofs are."""
        full = last >> _BLOCK_LEVEL
        frontier = Frontier()
        if last - first >= _BLOCK:
            for block in self._blocks[first >> _BLOCK_LEVEL : full]:
                frontier._push(_BLOCK_LEVEL, block)
            first = full << _BLOCK_LEVEL
        if first < last:
            for leaf in self._leaves(first, last):
                frontier.add(leaf)
        return frontier.root()


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that *path* leads to from the leaf hash (RFC 9162, 2.1.3.2); None where its length does not fit."""
    if not 0 <= index < size:
        return None
    place, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            found = node_hash(found, sibling)
        place >>= 1
        last >>= 1
    return found if last == 0 else None


def proves_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether *path* proves that the leaf hash is number *index* (from 0) of the tree with *root*."""
    return root_from_inclusion(leaf, index, size, path) == root


def proves_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether *proof* shows that the tree of *new* leaves begins with that of *old* leaves (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    nodes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not nodes or not proof:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place >>= 1
        last >>= 1
    before = after = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node_hash(node, before), node_hash(node, after)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            after = node_hash(after, node)
        place >>= 1
        last >>= 1
    return last == 0 and before == old_root and after == new_root


def _split(count: int) -> int:
    """The largest power of two smaller than *count*."""
    return 1 << ((count - 1).bit_length() - 1)


def _perfect(leaves: list[bytes]) -> bytes:
    """Root of a block; whole levels at once, which is twice as fast as leaf by leaf."""
    if len(leaves) != _BLOCK:
        raise ValueError(f"a block has {_BLOCK} leaves, here are {len(leaves)}")
    level = leaves
    while len(level) > 1:
        level = [
            hashlib.sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)
        ]
    return level[0]
