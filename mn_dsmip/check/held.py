# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that come before the session they belong to: discovery of the home agent, router advertisements.

They are kept by the address of the client, for a limited time and in limited number; every call takes constant time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from functools import lru_cache
from socket import AF_INET6, inet_pton

from mn_dsmip.check.model import Message

MAX_AGE = 300.0  # seconds of the capture's time between discovery and the IKE SA that it is for
MAX_CLIENTS = 4096
MAX_EACH = 64  # messages of one client
MAX_PREFIXES = 1024
HELD = frozenset({"dns", "dhcpv6", "home_agent_discovery"})
ADDRESS_BITS, INTERFACE_BITS = 128, 64
LINK_LOCAL = "fe80::"


@lru_cache(maxsize=1 << 14)
def number_of(address: str) -> int:
    """An IPv6 address as a number; -1 for anything else."""
    try:
        return int.from_bytes(inet_pton(AF_INET6, address), "big")
    except OSError:
        return -1


def prefix_of(address: str, length: int) -> tuple[int, int]:
    """The prefix of that length that an IPv6 address is in, as a key."""
    return length, number_of(address) >> (ADDRESS_BITS - length)


def prefix_key(prefix: str) -> tuple[int, int] | None:
    """The same for a prefix as it is written; None when it is none of IPv6."""
    address, _, length = prefix.partition("/")
    if number_of(address) < 0 or not length.isdecimal() or int(length) > ADDRESS_BITS:
        return None
    return prefix_of(address, int(length))


class Held:
    """What no session has taken yet."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, deque[Message]] = OrderedDict()
        self._by_interface: dict[int, str] = {}  # link-local clients by their interface identifier
        self._by_home_agent: dict[str, str] = {}  # who was last told of a home agent by DHCPv6
        self._advertisements: OrderedDict[tuple[int, int], Message] = OrderedDict()
        self._lengths: dict[int, int] = {}  # how many advertised prefixes have this length

    # -- discovery

    def hold(self, message: Message) -> None:
        """Keep a message of discovery under its client's address."""
        client = message.destination if message.flag("response") or _answers(message) else message.source
        known = self._clients.get(client)
        if known is None:
            known = self._clients[client] = deque(maxlen=MAX_EACH)
            if client.startswith(LINK_LOCAL):
                self._by_interface[_interface(client)] = client
        self._clients.move_to_end(client)
        known.append(message)
        if message.kind == "dhcpv6":
            for address in message.items("home_agent_addresses"):
                self._by_home_agent[str(address)] = client
        while len(self._clients) > MAX_CLIENTS:
            self._forget(next(iter(self._clients)))

    def take(self, care_of: str, home_agent: str, now: float) -> list[Message]:
        """What the UE at this address did to find this home agent: the session that begins now takes it along.

        DHCPv6 goes by link-local addresses: the UE's is told by its interface identifier, else by what it was told.
        """
        names = [care_of]
        if self._by_interface or self._by_home_agent:
            names += [self._by_interface.get(_interface(care_of), ""), self._by_home_agent.get(home_agent, "")]
            if names[1]:
                names.pop()
        found: list[Message] = []
        for name in dict.fromkeys(names):
            if name in self._clients:
                found += [one for one in self._clients[name] if now - one.time <= MAX_AGE]
                self._forget(name)
        return found

    def take_earlier(self, care_of: str, since: int, until: float) -> list[Message]:
        """What the UE at this address asked while its session lived; what came later is for the next session."""
        known = self._clients.get(care_of)
        if known is None:
            return []
        found = [one for one in known if one.frame > since and one.time <= until]
        rest = [one for one in known if one.time > until]
        self._forget(care_of)
        if rest:
            self._clients[care_of] = deque(rest, maxlen=MAX_EACH)
        return found

    def _forget(self, client: str) -> None:
        for message in self._clients.pop(client):
            for address in message.items("home_agent_addresses"):
                if self._by_home_agent.get(str(address)) == client:
                    del self._by_home_agent[str(address)]
        if client.startswith(LINK_LOCAL):
            self._by_interface.pop(_interface(client), None)

    # -- router advertisements

    def advertise(self, message: Message) -> None:
        """Keep the latest advertisement of each prefix."""
        for prefix in message.items("prefixes"):
            key = prefix_key(str(prefix))
            if key is None:
                continue
            if key not in self._advertisements:
                self._lengths[key[0]] = self._lengths.get(key[0], 0) + 1
            self._advertisements[key] = message
            self._advertisements.move_to_end(key)
        while len(self._advertisements) > MAX_PREFIXES:
            (length, _), _ = self._advertisements.popitem(last=False)
            self._lengths[length] -= 1
            if not self._lengths[length]:
                del self._lengths[length]

    def advertisement(self, care_of: str) -> Message | None:
        """The latest advertisement of a prefix that this address is in."""
        if number_of(care_of) < 0:
            return None
        found = [self._advertisements.get(prefix_of(care_of, length)) for length in self._lengths]
        return next((one for one in found if one is not None), None)


def _interface(address: str) -> int:
    return number_of(address) & ((1 << INTERFACE_BITS) - 1)


def _answers(message: Message) -> bool:
    return message.kind == "dhcpv6" and message.get("msg_type") in ("advertise", "reply", "reconfigure")
