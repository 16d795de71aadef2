"""Which node has which keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from flowrra.redis.addresses import Address
from flowrra.redis.node import Node

Place = tuple[str, int]


def slot_of(key: str | bytes) -> int:
    """The cluster's slot of *key*."""
    return key_slot(key.encode() if isinstance(key, str) else key)


class SlotMap:
    """The nodes that are known, and which slots each serves. A single server serves them all."""

    def __init__(self, entry: Address, make: Callable[[Address], Node]) -> None:
        self._entry: Final = entry
        self._make = make
        self._nodes: dict[Place | str, Node] = {}
        self._owners: list[Node] = [self.at(entry)] * REDIS_CLUSTER_HASH_SLOTS

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self._nodes.values()))

    def owner(self, slot: int) -> Node:
        """The node that serves *slot*."""
        return self._owners[slot]

    def at(self, address: Address) -> Node:
        """The node at *address*."""
        if address.place not in self._nodes:
            self._nodes[address.place] = self._make(address)
        return self._nodes[address.place]

    def named(self, host: str, port: int, by: Node) -> Node:
        """The node that node *by* calls *host* and *port*; without a host, it is where *by* is."""
        if host in ("", "?") and not isinstance(by.address.place, str):
            host = by.address.place[0]
        return self.at(self._entry.at(host, port))

    def moved(self, slot: int, host: str, port: int, by: Node) -> None:
        """Note what a node said about one slot."""
        self._owners[slot] = self.named(host, port, by)

    def learn(self, answer: Sequence[Sequence[Any]], by: Node) -> None:
        """Take over what node *by* answered to CLUSTER SLOTS, and let go of nodes that it doesn't name."""
        kept = {self.at(self._entry)}
        for first, last, (host, port, *_), *_replicas in answer:
            node = self.named((host or b"").decode(), port, by)
            self._owners[first : last + 1] = [node] * (last + 1 - first)
            kept.add(node)
        for place, node in list(self._nodes.items()):
            if node not in kept and node not in self._owners:
                del self._nodes[place]
                node.drop()
