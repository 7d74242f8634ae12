"""The Merkle tree of RFC 6962 / 9162 over SHA-256: roots, inclusion, consistency. Pure.

A tree of n leaves splits at the largest power of two below n; a lone node moves up as it is. A *complete node* (level, i)
covers the leaves [i·2^level, (i+1)·2^level); once its leaves are there it never changes, so these are what is stored.
"""

import hashlib
from collections.abc import Mapping, Sequence

Node = tuple[int, int]
"""(level, index) of a complete node; level 0 are the leaves."""

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(record: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def cover(start: int, end: int) -> list[Node]:
    """The complete nodes that make up the subtree over [start, end), left to right. The range is one the RFC splits at."""
    nodes: list[Node] = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over the complete nodes of a cover."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def root_nodes(size: int) -> list[Node]:
    """The nodes that `fold` makes the root of a tree of `size` leaves from: its right edge, largest first."""
    return cover(0, size)


def grow(edge: list[bytes], size: int, leaves: Sequence[bytes]) -> list[tuple[Node, bytes]]:
    """Appends leaf hashes to a tree of `size` leaves whose right edge is `edge` (changed in place); the new complete nodes."""
    made: list[tuple[Node, bytes]] = []
    for leaf in leaves:
        level, index, top = 0, size, leaf
        made.append(((0, index), leaf))
        while index & 1:
            level, index, top = level + 1, index >> 1, node_hash(edge.pop(), top)
            made.append(((level, index), top))
        edge.append(top)
        size += 1
    return made


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The subtrees whose roots prove leaf `index` (from 0) in a tree of `size`, from the leaf's sibling up."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    ranges: list[tuple[int, int]] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """The subtrees whose roots prove that the tree of `new` leaves begins with that of `old`; none when they are the same."""
    if not 0 < old <= new:
        raise ValueError(f"a tree of {new} does not continue one of {old}")
    ranges: list[tuple[int, int]] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, whole = middle, False
    return ([] if whole else [(start, end)]) + ranges[::-1]


def nodes_of(ranges: Sequence[tuple[int, int]]) -> list[Node]:
    """The complete nodes to read for a proof over these subtrees."""
    return [node for start, end in ranges for node in cover(start, end)]


def hashes_of(ranges: Sequence[tuple[int, int]], nodes: Mapping[Node, bytes]) -> list[bytes]:
    """The roots of the subtrees, from their complete nodes."""
    return [fold([nodes[node] for node in cover(start, end)]) for start, end in ranges]


def verify_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that the leaf hash stands at `index` (from 0) under `root` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    fn, sn, up = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            up = node_hash(sibling, up)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            up = node_hash(up, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and up == root


def verify_consistency(old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether `path` proves that the tree under `new_root` begins with the one under `old_root` (RFC 9162, 2.1.4.2)."""
    if old == new:
        return not path and old_root == new_root
    if not path or not 0 < old < new:
        return False
    if old & (old - 1) == 0:
        path = [old_root, *path]
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            after = node_hash(after, sibling)
        fn, sn = fn >> 1, sn >> 1
    return before == old_root and after == new_root and sn == 0
