"""A Redis server, or a cluster reached through one of its nodes: the same to whoever asks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import AskError, MovedError, ResponseError

from flowrra.exceptions import PermanentError, TransientError
from flowrra.redis.addresses import Address
from flowrra.redis.calls import Call, Plain, Role
from flowrra.redis.errors import BROKEN, PASSING, code, refusal
from flowrra.redis.facts import Facts, ask_facts
from flowrra.redis.node import Node
from flowrra.redis.patience import Patience
from flowrra.redis.slots import SlotMap, slot_of
from flowrra.url import URL

#: Seconds that one node of a cluster may take to say where the slots are, before the next one is asked.
_MAP_TIMEOUT: Final = 0.5
#: Seconds between two orders to end a blocking command, the first of which may have come before it.
_UNBLOCK_PAUSE: Final = 0.01


class Server:
    """Sends calls to where their keys are. Making it does no I/O.

    Everything may be sent more than once, and what is sent again after a failure comes after
    what was sent with it: calls must be repeatable and independent of each other.
    """

    def __init__(self, url: URL, *, timeout: float, retry_on_timeout: bool, max_connections: int) -> None:
        address = Address.of(url)
        #: Where it is, without login, for messages.
        self.name: Final = address.name
        #: Seconds within which every call has its answer or its error.
        self.timeout: Final = timeout
        #: Whether there is a connection to spare for ``block``.
        self.can_block: Final = max_connections > 1
        #: What the server said about itself when it was opened.
        self.facts: Facts
        self._address = address
        self._resend = retry_on_timeout
        self._max_connections = max_connections
        self._map: SlotMap | None = None

    async def open(self) -> None:
        """Connect, on the running loop, and learn the facts. Harmless when open.

        Raises:
            TransientError: No answer within the timeout.
            PermanentError: The server refuses the login or the database.
        """
        if self._map is not None:
            return
        slots = SlotMap(self._address, self._make_node)
        try:
            entry = slots.at(self._address)
            link = entry.link(Role.COMMAND)
            self.facts = await ask_facts(link)
            if self.facts.cluster:
                answer = (await link.call([("CLUSTER", "SLOTS")]))[0]
                if isinstance(answer, ResponseError):
                    raise refusal(answer, "CLUSTER SLOTS", self.name)
                slots.learn(answer, entry)
                self.facts = self.facts._replace(run_id=_cluster_id(answer))
        except BaseException:
            await _close(slots)
            raise
        self._map = slots

    async def close(self) -> None:
        """Let go of every connection. Idempotent; calls under way fail."""
        slots, self._map = self._map, None
        if slots is not None:
            await _close(slots)

    def slot(self, key: str | bytes) -> int:
        """A number that is the same for keys which one call may touch together; on one server all may."""
        return slot_of(key) if self.facts.cluster else 0

    def groups(self, keys: Sequence[str | bytes]) -> list[list[int]]:
        """The positions of *keys*, those together which one call may touch together."""
        groups: dict[int, list[int]] = {}
        for index, key in enumerate(keys):
            groups.setdefault(self.slot(key), []).append(index)
        return list(groups.values())

    @property
    def database(self) -> int:
        """The number of the database that the URL names."""
        return self._address.database

    def is_same(self, other: Server) -> bool:
        """Whether both are open on one server, no cluster, under one login; databases may differ."""
        if self._map is None or other._map is None or self.facts.cluster:
            return False
        mine, its = self._address, other._address
        run_id = self.facts.run_id
        same = mine.place == its.place or (run_id is not None and run_id == other.facts.run_id)
        return same and mine.login == its.login

    @property
    def addresses(self) -> list[Address]:
        """Every node that is known, the one of the URL first."""
        return [node.address for node in self._slots]

    async def run(self, role: Role, calls: Sequence[Call | Plain]) -> list[Any]:
        """Make all calls, in one round trip per node, and return their replies in order.

        Raises:
            TransientError: No answer within the timeout, or a refusal that may pass.
            PermanentError: A refusal for good. In both cases other calls may have been made.
        """
        patience = Patience(self.timeout, resend=self._resend)
        replies: list[Any] = [None] * len(calls)
        left: Sequence[int] = range(len(calls))
        while left:
            left = await self._round(role, calls, left, replies, patience)
        for call, reply in zip(calls, replies, strict=True):
            if isinstance(reply, ResponseError):
                raise refusal(reply, call.name, self.name)
        return replies

    async def block(self, command: Plain, seconds: float) -> Any:
        """Send a command that the server answers within *seconds*; None if nothing came, or ``unblock``
        was called, or the connection broke and is back. Only where ``can_block``; one at a time.

        Raises:
            TransientError: No answer within *seconds* and the timeout.
            PermanentError: A refusal for good.
        """
        node = self._owner(command)
        reply = await node.link(Role.BLOCK).block(command.command, seconds)
        if isinstance(reply, MovedError):
            await self._refresh(asyncio.get_running_loop().time() + self.timeout)
            return None
        if isinstance(reply, ResponseError):
            raise refusal(reply, command.name, node.address.name)
        return reply

    async def unblock(self) -> None:
        """End a ``block`` that is under way; return when it has ended."""
        for node in self._slots:
            link = node.link(Role.BLOCK)
            while self.can_block and link.is_busy:
                if link.client_id is not None:
                    order = ("CLIENT", "UNBLOCK", link.client_id)
                    answer = (await node.link(Role.COMMAND).call([order]))[0]
                    if isinstance(answer, ResponseError):
                        raise refusal(answer, "CLIENT UNBLOCK", node.address.name)
                await asyncio.sleep(_UNBLOCK_PAUSE)

    @property
    def _slots(self) -> SlotMap:
        if self._map is None:
            raise PermanentError(f"the connection to Redis at {self.name} is closed; open it first")
        return self._map

    def _make_node(self, address: Address) -> Node:
        return Node(
            address,
            timeout=self.timeout,
            retry_on_timeout=self._resend,
            max_connections=self._max_connections,
        )

    def _owner(self, call: Call | Plain) -> Node:
        return self._slots.owner(0 if call.key is None else self.slot(call.key))

    async def _round(
        self,
        role: Role,
        calls: Sequence[Call | Plain],
        left: Sequence[int],
        replies: list[Any],
        patience: Patience,
    ) -> list[int]:
        """Make the calls that are left, once; which of them are to be made again."""
        groups = self._by_node(calls, left)
        limit = patience.limit()
        asked = [self._ask(node, role, [calls[i] for i in group], limit) for node, group in groups.items()]
        answers = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)
        again: list[int] = []
        broken: tuple[BaseException, Node] | None = None
        for (node, group), answer in zip(groups.items(), answers, strict=True):
            if isinstance(answer, BaseException):
                again += group
                broken = answer, node
                continue
            for index, reply in zip(group, answer, strict=True):
                replies[index] = reply
                if isinstance(reply, ResponseError) and self._may_pass(reply, node):
                    again.append(index)
        return await self._recover(again, broken, replies, patience) if again else again

    def _by_node(self, calls: Sequence[Call | Plain], left: Sequence[int]) -> dict[Node, list[int]]:
        slots = self._slots
        if not self.facts.cluster:
            return {slots.owner(0): list(left)}
        groups: dict[Node, list[int]] = {}
        for index in left:
            groups.setdefault(self._owner(calls[index]), []).append(index)
        return groups

    async def _recover(
        self,
        again: list[int],
        broken: tuple[BaseException, Node] | None,
        replies: Sequence[Any],
        patience: Patience,
    ) -> list[int]:
        """Wait before calls are made again; none of them if the time is over."""
        if broken is not None:
            error, node = broken
            try:
                await patience.after(error, node.address.name)
            except TransientError:
                # A last try that the end of the time cut short hides no refusal that came before it.
                if isinstance(error, TimeoutError) and any(
                    isinstance(replies[index], ResponseError) for index in again
                ):
                    return []
                raise
        elif not await patience.pause():
            return []
        if self.facts.cluster:
            await self._refresh(patience.until)
        return again

    async def _ask(
        self, node: Node, role: Role, calls: Sequence[Call | Plain], until: float
    ) -> list[Any] | BaseException:
        """Ask one node, and the node that it says to ask instead; what broke is returned."""
        try:
            replies = await node.ask(role, calls, until)
            for index, reply in enumerate(replies):
                if isinstance(reply, AskError) and not isinstance(reply, MovedError):
                    other = self._slots.named(*_target(reply), node)
                    replies[index] = (await other.ask(role, [calls[index]], until, asking=True))[0]
        except BROKEN as error:
            return error
        return replies

    def _may_pass(self, refused: ResponseError, node: Node) -> bool:
        """Whether to ask again after a refusal; takes the hint that it gives."""
        if isinstance(refused, MovedError):
            self._slots.moved(refused.slot_id, *_target(refused), node)
        kind = code(refused)
        if kind == "READONLY":
            # After a failover, the same name may lead to another server.
            node.drop()
        return kind in PASSING

    async def _refresh(self, until: float) -> None:
        """Ask the cluster where its slots are; without an answer, what is known stays."""
        loop = asyncio.get_running_loop()
        nodes = list(self._slots)
        for node in random.sample(nodes, len(nodes)):
            limit = min(until, loop.time() + _MAP_TIMEOUT)
            try:
                answer: Any = (await node.link(Role.COMMAND).attempt([("CLUSTER", "SLOTS")], limit))[0]
            except BROKEN:
                continue
            if answer and not isinstance(answer, ResponseError):
                self._slots.learn(answer, node)
                return


def _target(hint: AskError) -> tuple[str, int]:
    """The host, which may be empty, and the port that a node sends its caller to."""
    host, _, port = hint.args[0].rpartition(" ")[2].rpartition(":")
    return host, int(port)


def _cluster_id(slots: Sequence[Any]) -> str | None:
    """What two who reached one cluster through different nodes agree on: the id of its first slots' node."""
    return min(slots)[2][2].decode() if slots else None


async def _close(slots: SlotMap) -> None:
    await asyncio.gather(*(node.close() for node in slots))
