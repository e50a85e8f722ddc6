# SPDX-License-Identifier: GPL-2.0-or-later
"""A TUN device: packets that the kernel routes into it are ours, and what we write it receives."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections import Counter

from ..errors import EnvironmentProblem
from .base import BATCH, word_of
from .sysctl import Sysctls

CLONE_DEVICE = "/dev/net/tun"
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI, IFF_TUN_EXCL = 0x0001, 0x1000, 0x8000
LARGEST_PACKET = 65535
LONGEST_NAME = 15
SILENCE = {"accept_ra": 0, "addr_gen_mode": 1, "disable_ipv6": 0}
"""No router solicitations and, without a link-local address, no listener reports from the kernel (ip-sysctl)."""
NEED_ROOT = "an agent needs root (CAP_NET_ADMIN and CAP_NET_RAW): start it with sudo"


class Tun:
    """The device ``name``, which goes with ``close``; ``EnvironmentProblem`` when it cannot be had."""

    def __init__(self, name: str, counters: Counter[str]) -> None:
        self._counters = counters
        self._fd = _open(name)
        try:
            settings = Sysctls()  # never restored: they go with the device
            for setting, value in SILENCE.items():
                settings.write(f"ipv6/conf/{name}/{setting}", value)
        except EnvironmentProblem:
            self.close()
            raise

    def fileno(self) -> int:
        """What becomes readable when packets are there."""
        return self._fd

    def receive(self) -> list[bytes]:
        """What is there to read, up to a batch."""
        fd, packets = self._fd, []
        try:
            for _ in range(BATCH):
                packets.append(os.read(fd, LARGEST_PACKET))
        except BlockingIOError:
            pass
        except OSError as problem:
            self._counters[f"tun-read-{word_of(problem)}"] += 1
        return packets

    def send(self, packet: bytes) -> None:
        """Let the kernel receive a packet; one that it does not take is counted."""
        try:
            os.write(self._fd, packet)
        except OSError as problem:
            self._counters[f"tun-write-{word_of(problem)}"] += 1

    def close(self) -> None:
        """Give the device up: its addresses and routes go with it."""
        os.close(self._fd)


def _open(name: str) -> int:
    if not 0 < len(name.encode()) <= LONGEST_NAME:
        raise EnvironmentProblem(f"{name!r} cannot name a device: 1 to {LONGEST_NAME} octets are expected")
    try:
        fd = os.open(CLONE_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        if problem.errno in (errno.EACCES, errno.EPERM):
            raise EnvironmentProblem(NEED_ROOT) from None
        raise EnvironmentProblem(
            f"{CLONE_DEVICE} cannot be opened ({problem.strerror}): load the module with `modprobe tun`; "
            "a container needs `--device /dev/net/tun`"
        ) from None
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL))
    except OSError as problem:
        os.close(fd)
        raise EnvironmentProblem(_refusal(name, problem)) from None
    return fd


def _refusal(name: str, problem: OSError) -> str:
    if problem.errno == errno.EBUSY:
        return f"there is an interface {name} already: end the agent that has it, or choose another `tunnel: device:`"
    if problem.errno == errno.EPERM:
        return NEED_ROOT
    return f"the TUN device {name} cannot be made: {problem.strerror}"
