# SPDX-License-Identifier: GPL-2.0-or-later
"""A mobile node whose home agent is played by the test."""

from __future__ import annotations

from mn_dsmip.engine.mip.config import MobileConfig
from mn_dsmip.engine.mip.mobile import MobileNode, State
from mn_dsmip.wire.mobility import BindingAcknowledgement
from tests.engine.mip_pair import CARE_OF, HOME, HOME_AGENT


class Node:
    """A mobile node whose home agent is played by the test."""

    def __init__(self, config: MobileConfig | None = None, sequence: int = 10) -> None:
        first = (sequence - 1).to_bytes(2, "big")
        self.mobile = MobileNode(config or MobileConfig(), HOME, HOME_AGENT, CARE_OF, lambda _length: first)
        self.now = 0.0
        self.events: list[object] = []

    def in_state(self, state: State) -> Node:
        if state is not State.UNBOUND:
            self.mobile.register(self.now)
            self.sent()
        if state in (State.BOUND, State.REFRESHING, State.DEREGISTERING):
            self.answer(0, lifetime=900)
        if state is State.REFRESHING:
            self.mobile.refresh(self.now)
        if state is State.DEREGISTERING:
            self.mobile.deregister(self.now)
        assert self.mobile.state is state
        self.mobile.events()
        return self

    def sent(self):
        """The one Binding Update that waits to leave; ``None`` without one."""
        out = self.mobile.datagrams_to_send()
        assert len(out) <= 1
        if not out:
            return None
        self.last = out[0].message
        return self.last

    def answer(self, status: int, *, sequence: int | None = None, lifetime: int = 0, options: tuple = ()) -> None:
        self.sent()
        number = self.last.sequence if sequence is None else sequence
        self.mobile.receive(
            BindingAcknowledgement(status, sequence=number, lifetime=lifetime, options=options, mobile_router=True),
            self.now,
        )

    def wait(self) -> float:
        """Let time pass until the next timer; how long that was."""
        before, timer = self.now, self.mobile.next_timer()
        assert timer is not None
        self.now = timer
        self.mobile.handle_timer(timer)
        return self.now - before

    def seen(self, kind: type) -> list:
        self.events += self.mobile.events()
        return [event for event in self.events if isinstance(event, kind)]
