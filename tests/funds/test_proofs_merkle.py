"""The Merkle log against published vectors and, for every tree up to 65 leaves, against the definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.funds.proofs import merkle

# Source: RFC 6962 test data of certificate-transparency-go; handbook reference/merkle/pm.py.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
N = 65
HASHES = [merkle.leaf_hash(b"%d" % i) for i in range(N)]


def tree_hash(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return merkle.node_hash(tree_hash(leaves[:k]), tree_hash(leaves[k:]))


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    n = len(leaves)
    if n == 1:
        return []
    k = 1 << ((n - 1).bit_length() - 1)
    if m < k:
        return [*path(m, leaves[:k]), tree_hash(leaves[k:])]
    return [*path(m - k, leaves[k:]), tree_hash(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    n = len(leaves)
    if m == n:
        return [] if whole else [tree_hash(leaves)]
    k = 1 << ((n - 1).bit_length() - 1)
    if m <= k:
        return [*subproof(m, leaves[:k], whole), tree_hash(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), tree_hash(leaves[:k])]


TREE_ROOTS = [tree_hash(HASHES[:n]) for n in range(N + 1)]
NODES = dict(merkle.grow([], 0, HASHES))


def root(size: int) -> bytes:
    return merkle.fold([NODES[node] for node in merkle.root_nodes(size)])


def test_roots_are_those_of_the_published_vectors():
    edge: list[bytes] = []
    for size, leaf in enumerate(LEAVES):
        merkle.grow(edge, size, [merkle.leaf_hash(bytes.fromhex(leaf))])
        assert merkle.fold(edge).hex() == ROOTS[size]
    assert merkle.fold([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_roots_from_stored_nodes_are_those_of_the_definition():
    assert [root(n) for n in range(N + 1)] == TREE_ROOTS


@pytest.mark.parametrize("n", range(1, N + 1))
def test_inclusion_proofs_are_those_of_the_rfc_and_nothing_near_them_passes(n):
    for i in range(n):
        ranges = merkle.inclusion_ranges(i, n)
        assert set(merkle.nodes_of(ranges)) <= {node for node in NODES if (node[1] + 1) << node[0] <= n}
        proof = merkle.hashes_of(ranges, NODES)
        assert proof == path(i, HASHES[:n])
        assert merkle.verify_inclusion(i, n, HASHES[i], proof, TREE_ROOTS[n])
        assert not merkle.verify_inclusion(i, n, HASHES[i], [*proof, HASHES[0]], TREE_ROOTS[n])
        assert not merkle.verify_inclusion(i, n, HASHES[i], proof, TREE_ROOTS[n - 1])
        assert not merkle.verify_inclusion(n, n, HASHES[i], proof, TREE_ROOTS[n])
        if proof:
            assert not merkle.verify_inclusion(i, n, HASHES[i], proof[:-1], TREE_ROOTS[n])
            assert not merkle.verify_inclusion((i + 1) % n, n, HASHES[i], proof, TREE_ROOTS[n])


@pytest.mark.parametrize("n", range(1, N + 1))
def test_consistency_proofs_are_those_of_the_rfc_and_nothing_near_them_passes(n):
    for m in range(1, n + 1):
        proof = merkle.hashes_of(merkle.consistency_ranges(m, n), NODES)
        assert proof == (subproof(m, HASHES[:n], True) if m < n else [])
        assert merkle.verify_consistency(m, n, proof, TREE_ROOTS[m], TREE_ROOTS[n])
        if m < n:
            assert not merkle.verify_consistency(m, n, proof, TREE_ROOTS[m - 1], TREE_ROOTS[n])
            assert not merkle.verify_consistency(m, n, proof, TREE_ROOTS[m], TREE_ROOTS[n - 1])
            assert not merkle.verify_consistency(m, n, proof[:-1], TREE_ROOTS[m], TREE_ROOTS[n])


def test_an_index_outside_the_tree_has_no_proof():
    for index, size in ((5, 5), (-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="not in a tree"):
            merkle.inclusion_ranges(index, size)
    for old, new in ((0, 5), (6, 5)):
        with pytest.raises(ValueError, match="does not continue"):
            merkle.consistency_ranges(old, new)


@given(st.integers(0, N), st.integers(0, N))
def test_a_tree_grows_the_same_in_any_portions(a, b):
    first, second = sorted((a, b))
    edge: list[bytes] = []
    nodes = merkle.grow(edge, 0, HASHES[:first])
    edge = [dict(nodes)[node] for node in merkle.root_nodes(first)]
    nodes += merkle.grow(edge, first, HASHES[first:second])
    assert dict(nodes) == dict(merkle.grow([], 0, HASHES[:second]))
    assert merkle.fold(edge) == TREE_ROOTS[second]
