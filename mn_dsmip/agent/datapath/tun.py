# SPDX-License-Identifier: GPL-2.0-or-later
"""A TUN device: whole IP packets between the kernel and an agent."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections import Counter
from pathlib import Path

from ..errors import EnvironmentProblem
from .base import BATCH

TUN_FILE = Path("/dev/net/tun")
LONGEST_PACKET = 65535
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI, _IFF_TUN_EXCL = 0x0001, 0x1000, 0x8000
_NO_ADDRESSES_OF_ITS_OWN = {"addr_gen_mode": 1, "accept_ra": 0, "router_solicitations": 0}


class Tun:
    """A device of our own, gone when closed; ``EnvironmentProblem`` says why it cannot be had."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.descriptor = _open(name)
        try:
            self.index = socket.if_nametoindex(name)
            for setting, value in _NO_ADDRESSES_OF_ITS_OWN.items():
                write_setting(f"ipv6/conf/{name}/{setting}", value)
        except BaseException:
            self.close()
            raise

    def read_batch(self) -> list[bytes]:
        """The packets that the kernel has routed into the device, up to a batch."""
        read, descriptor = os.read, self.descriptor
        packets: list[bytes] = []
        try:
            while len(packets) < BATCH:
                packets.append(read(descriptor, LONGEST_PACKET))
        except BlockingIOError:
            pass
        return packets

    def write(self, packet: bytes, counters: Counter[str]) -> None:
        """Give the kernel a packet as if it had arrived on the device."""
        try:
            os.write(self.descriptor, packet)
        except OSError as refused:
            counters[f"tun-{reason(refused)}"] += 1

    def close(self) -> None:
        """The device, its addresses and its routes go."""
        os.close(self.descriptor)


def _open(name: str) -> int:
    try:
        descriptor = os.open(TUN_FILE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        raise EnvironmentProblem(
            f"{TUN_FILE} cannot be opened ({problem.strerror}): the kernel needs its TUN driver (modprobe tun), "
            f"a container needs the device"
        ) from None
    try:
        flags = _IFF_TUN | _IFF_NO_PI | _IFF_TUN_EXCL
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except OSError as problem:
        os.close(descriptor)
        if problem.errno == errno.EBUSY:
            text = "it is there already; does another agent run in this network namespace?"
        else:
            text = problem.strerror or str(problem)
        raise EnvironmentProblem(f"TUN device {name} cannot be made: {text}") from None
    return descriptor


def reason(problem: OSError) -> str:
    """A word for a counter."""
    return errno.errorcode.get(problem.errno or 0, "error").lower()


def read_setting(name: str) -> int:
    """A network setting of this namespace, named as below ``/proc/sys/net``."""
    return int(Path("/proc/sys/net", name).read_text())


def write_setting(name: str, value: int) -> int:
    """Change a network setting of this namespace when it differs; returns what it was."""
    path = Path("/proc/sys/net", name)
    before = read_setting(name)
    if before != value:
        try:
            path.write_text(str(value))
        except OSError as problem:
            raise EnvironmentProblem(
                f"{path} is {before}, {value} is needed, and it cannot be changed ({problem.strerror})"
            ) from None
    return before
