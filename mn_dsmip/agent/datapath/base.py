# SPDX-License-Identifier: GPL-2.0-or-later
"""What the driver asks of a data path: packets in and out, and effects carried out."""

from __future__ import annotations

import errno
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Callable
from typing import Protocol, TypeVar

from ...engine.base import Datagram, Effect

Unit = TypeVar("Unit")
"""What an engine takes and gives: a ``Datagram``, or a ``UdpDatagram`` where sockets do the rest."""
Deliver = Callable[[list[Datagram]], None]
"""Takes what has arrived at once, one packet or a batch of them."""

BATCH = 64
"""Packets read at most before others get their turn."""


def word_of(problem: OSError) -> str:
    """A reason word for a counter, for example ``enobufs``."""
    return errno.errorcode.get(problem.errno or 0, "error").lower()


class Datapath(Protocol[Unit]):
    """One agent's way to the network; ``counters`` counts what the kernel did not take, by reason word."""

    counters: Counter[str]

    def open(self, loop: AbstractEventLoop, deliver: Callable[[list[Unit]], None]) -> None:
        """Set everything up; ``EnvironmentProblem`` says what the machine lacks, and then nothing is left behind."""

    def send(self, datagrams: list[Unit]) -> None:
        """Let packets leave; one that the kernel does not take is counted and dropped, as on any link."""

    def carry_out(self, effect: Effect) -> None:
        """Do to the kernel what the effect says; effects of no concern to a data path are left alone."""

    def close(self) -> None:
        """Remove everything that was set up, also when that was only half of it."""
