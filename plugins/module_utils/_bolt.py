# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a database file of bbolt, which etcd keeps its data in, with nothing but the standard library.

The file is a tree of pages. A branch page leads to pages, a leaf page holds keys with values, and a value may be the root
of a further tree: a bucket. Numbers are little-endian, as on every processor that Kubernetes is built for but one.
"""

from __future__ import annotations

import struct
import typing as t

MAGIC = 0xED0CDAED
_PAGE = struct.Struct("<QHHI")  # number, kind, elements, further pages that it goes on over
_META = struct.Struct("<IIIIQQQQQQ")
_BRANCH = struct.Struct("<IIQ")  # position and size of the key, page
_LEAF = struct.Struct("<IIII")  # kind, position, size of the key, size of the value
_BUCKET = struct.Struct("<QQ")  # root page, sequence
_BRANCH_KIND, _LEAF_KIND = 1, 2
_BUCKET_ELEMENT = 1
_DEEPEST = 64  # far more than any file can have, so that pages that lead in a circle end

Buffer = t.Any  # bytes or mmap, which Python has no common type for


class BoltError(Exception):
    """The bytes are no database, or a damaged one."""


class Bolt:
    """A database, read from a buffer."""

    def __init__(self, data: Buffer) -> None:
        self.data = data
        self.page_size, self._root = self._newest_meta()

    def buckets(self) -> dict[bytes, int]:
        """The names of all buckets of the first level, each with what items() wants."""
        return {
            key: start for kind, key, start, _size in self._leaves(self._page_at(self._root)) if kind == _BUCKET_ELEMENT
        }

    def items(self, bucket: int) -> t.Iterator[tuple[bytes, int, int]]:
        """Each key of a bucket, in their order, with position and size of its value in the buffer."""
        root, _sequence = self._unpack(_BUCKET, bucket)
        # A small bucket has no page of its own: one stands right behind its head.
        page = self._page_at(root) if root else bucket + _BUCKET.size
        for kind, key, start, size in self._leaves(page):
            if kind != _BUCKET_ELEMENT:
                yield key, start, size

    def _newest_meta(self) -> tuple[int, int]:
        found = []
        # The page size stands in the first page; where that is damaged, the second lies at the usual place.
        for start in (0, self._second_meta()):
            try:
                magic, version, size, _flags, root, _seq, _free, _pages, transaction, checksum = self._unpack(
                    _META, start + _PAGE.size
                )
            except BoltError:
                continue
            body = self.data[start + _PAGE.size : start + _PAGE.size + _META.size - 8]
            if magic == MAGIC and version == 2 and checksum == fnv64a(body):
                found.append((transaction, size, root))
        if not found:
            raise BoltError("it does not begin as a database of etcd does")
        _transaction, size, root = max(found)
        return size, root

    def _second_meta(self) -> int:
        magic, _version, size = struct.unpack_from("<III", self.data, _PAGE.size) if len(self.data) > 64 else (0, 0, 0)
        return size if magic == MAGIC and 512 <= size <= 1 << 20 else 4096

    def _page_at(self, number: int) -> int:
        return number * self.page_size

    def _unpack(self, structure: struct.Struct, position: int) -> tuple[int, ...]:
        try:
            return structure.unpack_from(self.data, position)
        except (struct.error, OverflowError) as error:
            raise BoltError("a page of it leads beyond its end") from error

    def _leaves(self, page: int, depth: int = 0) -> t.Iterator[tuple[int, bytes, int, int]]:
        if depth > _DEEPEST:
            raise BoltError("its pages lead in a circle")
        _number, kind, count, _overflow = self._unpack(_PAGE, page)
        first = page + _PAGE.size
        if kind & _LEAF_KIND:
            for element in range(first, first + count * _LEAF.size, _LEAF.size):
                flags, position, key_size, value_size = self._unpack(_LEAF, element)
                start = element + position
                if start + key_size + value_size > len(self.data):
                    raise BoltError("a page of it leads beyond its end")
                yield flags, bytes(self.data[start : start + key_size]), start + key_size, value_size
        elif kind & _BRANCH_KIND:
            for element in range(first, first + count * _BRANCH.size, _BRANCH.size):
                _position, _size, number = self._unpack(_BRANCH, element)
                yield from self._leaves(self._page_at(number), depth + 1)
        else:
            raise BoltError("a page of it is neither a branch nor a leaf")


def fnv64a(data: bytes) -> int:
    """The checksum that stands at the end of a database's first pages."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value
