"""Merkle trees in the shape of RFC 9162 (section 2.1): roots and inclusion proofs.

A leaf is SHA-256(0x00 || data), a node SHA-256(0x01 || left || right). `Frontier` grows a tree leaf by leaf with
log2(n) hashes in memory. `Tree` makes proofs over leaves that are stored elsewhere, with one hash in memory per 256.
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
    """Return the hash of one leaf over its data."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node over its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that only grows: the hashes of its perfect subtrees from left to right, at most one of each size."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """Continue a tree of *size* leaves from its `hashes`. Raises ValueError where the two do not fit."""
        levels = [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]
        if size < 0 or len(hashes) != len(levels) or any(len(subtree) != _HASH_BYTES for subtree in hashes):
            raise ValueError(f"a tree of {size} leaves has {len(levels)} perfect subtrees of 32 bytes each")
        self._stack = list(zip(levels, hashes, strict=True))
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The roots of the perfect subtrees, largest first: all that is needed to continue the tree."""
        return tuple(subtree for _, subtree in self._stack)

    def add(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        self._push(0, leaf)

    def _push(self, level: int, subtree: bytes) -> None:
        self._size += 1 << level
        while self._stack and self._stack[-1][0] == level:
            subtree = node_hash(self._stack.pop()[1], subtree)
            level += 1
        self._stack.append((level, subtree))

    def root(self) -> bytes:
        """Return the root over the leaves so far."""
        if not self._stack:
            return EMPTY_ROOT
        root = self._stack[-1][1]
        for _, left in reversed(self._stack[:-1]):
            root = node_hash(left, root)
        return root


class Tree:
    """The tree over the first *size* of *leaves*: reads all leaves once, then only the blocks on a proof's path."""

    def __init__(self, size: int, leaves: Leaves) -> None:
        self.size = size
        self._leaves = leaves
        self._blocks: list[bytes] = []
        stream = iter(leaves(0, size))
        for _ in range(size >> _BLOCK_LEVEL):
            self._blocks.append(_perfect(list(islice(stream, _BLOCK))))

    def root(self) -> bytes:
        """Return the root over all leaves."""
        return self._subtree(0, self.size)

    def inclusion(self, index: int) -> tuple[bytes, ...]:
        """Return the audit path of leaf *index* (from 0), the sibling next to the leaf first. Raises ValueError."""
        if not 0 <= index < self.size:
            raise ValueError(f"no leaf {index} in a tree of {self.size} leaves")
        path: list[bytes] = []
        first, last = 0, self.size
        while last - first > 1:
            middle = first + _split(last - first)
            if index < middle:
                path.append(self._subtree(middle, last))
                last = middle
            else:
                path.append(self._subtree(first, middle))
                first = middle
        return tuple(reversed(path))

    def _subtree(self, first: int, last: int) -> bytes:
        """Return the hash over leaves *first* to *last* - 1. *first* is a multiple of the width, as in every proof."""
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


def _split(count: int) -> int:
    """The largest power of two smaller than *count*."""
    return 1 << ((count - 1).bit_length() - 1)


def _perfect(leaves: list[bytes]) -> bytes:
    """Return the root of a block, level by level: twice as fast as leaf by leaf."""
    if len(leaves) != _BLOCK:
        raise ValueError(f"a block has {_BLOCK} leaves, not {len(leaves)}")
    level = leaves
    while len(level) > 1:
        level = [
            hashlib.sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)
        ]
    return level[0]
