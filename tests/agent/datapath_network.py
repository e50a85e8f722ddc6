# SPDX-License-Identifier: GPL-2.0-or-later
"""Scratch network namespaces for tests of data paths: nameless, so that nothing of them outlives the test process."""

from __future__ import annotations

import asyncio
import ctypes
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv6Address

from mn_dsmip.engine.base import Datagram

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
PATIENCE = 10.0
"""Seconds until a condition that does not come true fails its test; a User-Mode Linux kernel is slow."""
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Namespace:
    """A network namespace that lives as long as its descriptor; enter it with ``with``."""

    def __init__(self) -> None:
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _checked(_libc.unshare(CLONE_NEWNET))
        try:
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        finally:
            _checked(_libc.setns(here, CLONE_NEWNET))
            os.close(here)
        self._outside: list[int] = []
        self.run("ip link set lo up")

    def __enter__(self) -> Namespace:
        self._outside.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        _checked(_libc.setns(self.fd, CLONE_NEWNET))
        return self

    def __exit__(self, *_: object) -> None:
        outside = self._outside.pop()
        _checked(_libc.setns(outside, CLONE_NEWNET))
        os.close(outside)

    @property
    def path(self) -> str:
        """What `ip link set … netns` takes."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def run(self, *commands: str) -> str:
        """Run shell commands here; what they print."""
        with self:
            done = subprocess.run(["sh", "-ec", "\n".join(commands)], capture_output=True, text=True)
        assert done.returncode == 0, f"{commands}: {done.stderr}"
        return done.stdout

    def close(self) -> None:
        os.close(self.fd)


@contextmanager
def namespaces(count: int) -> Iterator[list[Namespace]]:
    """That many fresh namespaces."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            each = Namespace()
            stack.callback(each.close)
            found.append(each)
        yield found


def link(one: Namespace, name: str, other: Namespace, other_name: str) -> None:
    """A cable between two namespaces; what a kernel would leave to a network card is switched off, as in Mininet."""
    one.run(f"ip link add {name} type veth peer name {other_name} netns {other.path}")
    for namespace, each in ((one, name), (other, other_name)):
        namespace.run(
            f"ethtool -K {each} rx off tx off sg off tso off gso off gro off >/dev/null 2>&1 || :",
            f"ip link set {each} up",
        )


class Wire:
    """The far end of a link: sends frames, and keeps all that the other side sent."""

    def __init__(self, namespace: Namespace, name: str, peer: Namespace, peer_name: str) -> None:
        self.namespace = namespace
        with namespace:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.bind((name, ETH_P_ALL))
        self._socket.setblocking(False)
        self.own = mac(namespace, name)
        self.peer = mac(peer, peer_name)
        self.seen: list[bytes] = []

    def send(self, *packets: bytes, destination: bytes | None = None) -> None:
        """Send IP packets to the other side."""
        for packet in packets:
            kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
            self._socket.send((destination or self.peer) + self.own + kind + packet)

    def collect(self) -> list[bytes]:
        """IP packets that the other side has sent so far."""
        while True:
            try:
                frame, address = self._socket.recvfrom(70000)
            except BlockingIOError:
                return self.seen
            if address[2] != socket.PACKET_OUTGOING and frame[12:14] in (b"\x86\xdd", b"\x08\x00"):
                self.seen.append(frame[14:])

    def await_packet(self, wanted: Callable[[bytes], bool], version: int = 6) -> bytes:
        """The first such packet of an IP version."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for packet in self.collect():
                if packet[0] >> 4 == version and wanted(packet):
                    return packet
            select.select([self._socket], [], [], 0.2)
        raise AssertionError(f"no such packet among {len(self.seen)}: {[each[:64].hex() for each in self.seen[-5:]]}")

    def close(self) -> None:
        self._socket.close()


def mac(namespace: Namespace, name: str) -> bytes:
    """An interface's Ethernet address."""
    words = namespace.run(f"ip -o link show {name}").split()
    return bytes.fromhex(words[words.index("link/ether") + 1].replace(":", ""))


class Inbox:
    """Takes what a data path in ``namespace`` delivers and announces, and waits for it."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self.loop = asyncio.new_event_loop()
        self.datagrams: list[Datagram] = []
        self.accesses: list[object] = []
        self._changed = asyncio.Event()

    def deliver(self, datagrams: list[Datagram]) -> None:
        self.datagrams += datagrams
        self._changed.set()

    def on_access(self, access: object) -> None:
        self.accesses.append(access)
        self._changed.set()

    def until(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Run the loop until ``condition`` holds."""

        async def wait() -> None:
            while not condition():
                self._changed.clear()
                await self._changed.wait()

        try:
            with self._namespace:
                self.loop.run_until_complete(asyncio.wait_for(wait(), seconds))
        except asyncio.TimeoutError:
            raise AssertionError(f"not within {seconds} s; {self.accesses=} {self.datagrams[-5:]=}") from None

    def run_for(self, seconds: float) -> None:
        """Let everything happen that is due; what a test shows to be absent needs a time."""
        with self._namespace:
            self.loop.run_until_complete(asyncio.sleep(seconds))

    def packets(self) -> list[bytes]:
        return [each.packet for each in self.datagrams]

    def close(self) -> None:
        self.loop.close()


def address_bytes(text: str) -> bytes:
    return IPv6Address(text).packed
