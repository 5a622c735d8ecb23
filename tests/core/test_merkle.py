"""Merkle trees against the published vectors of Certificate Transparency, against the RFC's recursion, and mutated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.audit.proofs.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    leaf_hash,
)
from tests.core.rfc9162 import proves_inclusion

# certificate-transparency, merkletree/merkle_tree_test.cc: eight inputs, the roots of their first n, and proofs.
INPUTS = tuple(
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
)
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAF_0 = ROOTS[1]
LEAF_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
NODE_01 = ROOTS[2]
NODE_23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
NODE_67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
NODE_03 = ROOTS[4]
NODE_47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
# (leaf from 0, size): audit path
PATHS = {
    (0, 1): (),
    (0, 8): (LEAF_1, NODE_23, NODE_47),
    (5, 8): (LEAF_4, NODE_67, NODE_03),
    (2, 3): (NODE_01,),
    (1, 5): (LEAF_0, NODE_23, LEAF_4),
}


def tree(leaves: Sequence[bytes]) -> Tree:
    return Tree(len(leaves), lambda first, last: leaves[first:last])


def reference(leaves: Sequence[bytes]) -> bytes:
    """MTH as RFC 9162, 2.1.1 defines it, by recursion."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + reference(leaves[:half]) + reference(leaves[half:])).digest()


def unhex(path: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(one) for one in path)


LEAVES = tuple(map(leaf_hash, INPUTS))


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier.add(leaf)
    assert frontier.root().hex() == ROOTS[size]
    assert tree(LEAVES[:size]).root().hex() == ROOTS[size]
    assert frontier.size == size


@pytest.mark.parametrize(("key", "path"), PATHS.items())
def test_inclusion_proofs_are_the_published_ones(key: tuple[int, int], path: tuple[str, ...]) -> None:
    index, size = key
    assert tree(LEAVES[:size]).inclusion(index) == unhex(path)
    assert proves_inclusion(LEAVES[index], index, size, unhex(path), bytes.fromhex(ROOTS[size]))


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert EMPTY_ROOT.hex() == ROOTS[0]


@st.composite
def sized(draw: st.DrawFn) -> tuple[tuple[bytes, ...], int]:
    """Leaves of a tree around the block size as often as a small one, and a place in it."""
    size = draw(st.one_of(st.integers(1, 40), st.integers(250, 260), st.integers(500, 1100)))
    seed = draw(st.integers(0, 3))
    return tuple(leaf_hash(f"{seed}-{n}".encode()) for n in range(size)), draw(st.integers(0, size - 1))


@given(sized())
@settings(max_examples=60, deadline=None)
def test_every_leaf_of_any_tree_is_proven_and_no_other(given_tree: tuple[tuple[bytes, ...], int]) -> None:
    leaves, index = given_tree
    whole, root = tree(leaves), reference(leaves)
    path = whole.inclusion(index)
    assert whole.root() == root
    assert proves_inclusion(leaves[index], index, len(leaves), path, root)
    assert not proves_inclusion(leaf_hash(b"other"), index, len(leaves), path, root)
    assert not proves_inclusion(leaves[index], index + 1, len(leaves), path, root)
    assert not proves_inclusion(leaves[index], index, len(leaves), (*path, root), root)
    assert not proves_inclusion(leaves[index], len(leaves), len(leaves), path, root)
    for place in range(len(path)):
        assert not proves_inclusion(leaves[index], index, len(leaves), path[:place] + path[place + 1 :], root)
        wrong = (*path[:place], root, *path[place + 1 :])
        assert not proves_inclusion(leaves[index], index, len(leaves), wrong, root)


@given(sized())
@settings(max_examples=40, deadline=None)
def test_a_frontier_goes_on_where_it_was_put_down(given_tree: tuple[tuple[bytes, ...], int]) -> None:
    leaves, index = given_tree
    first = Frontier()
    for leaf in leaves[:index]:
        first.add(leaf)
    second = Frontier(first.size, first.hashes)
    for leaf in leaves[index:]:
        second.add(leaf)
    assert second.root() == reference(leaves)
    assert len(second.hashes) == len(leaves).bit_length() - bin(len(leaves))[2:].count("0")


def test_a_frontier_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="3 leaves"):
        Frontier(3, (LEAVES[0],))


def test_what_is_not_in_the_tree_has_no_proof() -> None:
    with pytest.raises(ValueError, match="no leaf 8"):
        tree(LEAVES).inclusion(8)
