# SPDX-License-Identifier: GPL-2.0-or-later
"""A mobile node and a home agent with a clock and nothing between them but the test."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import TypeVar

from mn_dsmip.engine.base import Event, IPAddress, earliest
from mn_dsmip.engine.mip.config import HomeAgentConfig, MobileConfig
from mn_dsmip.engine.mip.home_agent import HomeAgent
from mn_dsmip.engine.mip.mobile import MobileNode
from mn_dsmip.engine.mip.packet import MobilityPacket
from mn_dsmip.engine.mip.request import Authorization
from mn_dsmip.wire.mobility import BindingAcknowledgement, BindingUpdate, IPv4Status, MobilityMessage

HOME = IPv6Address("2001:db8:1:1::100")
HOME_PREFIX = IPv6Network("2001:db8:1:1::/64")
HOME_AGENT = IPv6Address("2001:db8:aaaa::1")
CARE_OF = IPv6Address("2001:db8:f:1::10")
IPV4_HOME = IPv4Address("10.45.0.2")
OWNER = ("001010000000001", "internet")

Wanted = TypeVar("Wanted", bound=Event)


class Ipv4Pool:
    """Gives its verdict to whoever asks, and remembers what was asked for."""

    def __init__(self, verdict: IPv4Address | IPv4Status = IPV4_HOME) -> None:
        self.verdict = verdict
        self.asked: list[IPv4Address | None] = []

    def assign(self, _owner: object, wanted: IPv4Address | None) -> IPv4Address | IPv4Status:
        self.asked.append(wanted)
        return self.verdict


class Pair:
    """Both ends; messages wait in a queue each way until the test delivers, drops or keeps them."""

    def __init__(
        self,
        config: MobileConfig,
        *,
        sequence: int = 0xFFFE,  # wraps around early
        care_of: IPAddress = CARE_OF,
        pool: Ipv4Pool | None = None,
        prefix_expires: float = float("inf"),
        selector: IPv6Network = HOME_PREFIX,
        **home_agent_config: object,
    ) -> None:
        self.now = 0.0
        self.config = config
        self.care_of = care_of
        self.first_sequence = (sequence - 1) % 65536
        self.pool = pool or Ipv4Pool()
        self.mobile = self.new_mobile(HOME)
        self.home_agent = HomeAgent(HomeAgentConfig(**home_agent_config), self.pool)
        self.authorization = Authorization(OWNER, HOME_PREFIX, selector, prefix_expires)
        self.updates: deque[MobilityPacket] = deque()
        self.answers: deque[MobilityPacket] = deque()
        self.sent: list[MobilityMessage] = []
        self.answered: list[MobilityMessage] = []
        self._mobile_events: list[Event] = []
        self._home_agent_events: list[Event] = []

    def new_mobile(self, home_address: IPv6Address) -> MobileNode:
        first = self.first_sequence.to_bytes(2, "big")
        return MobileNode(self.config, home_address, HOME_AGENT, self.care_of, lambda _length: first)

    def settle(self) -> None:
        self._mobile_events += self.mobile.events()
        self._home_agent_events += self.home_agent.events()
        for out, queue, record in (
            (self.mobile.datagrams_to_send(), self.updates, self.sent),
            (self.home_agent.datagrams_to_send(), self.answers, self.answered),
        ):
            queue.extend(out)
            record += [packet.message for packet in out]

    # Mobile node --> home agent

    def take_to_home_agent(self) -> MobilityPacket:
        self.settle()
        return self.updates.popleft()

    def drop_to_home_agent(self) -> BindingUpdate:
        return self._update(self.take_to_home_agent())

    def deliver_to_home_agent(self, packet: MobilityPacket) -> None:
        self.home_agent.receive(packet, self.authorization, self.now)
        self.settle()

    def to_home_agent(self) -> BindingUpdate:
        packet = self.take_to_home_agent()
        self.deliver_to_home_agent(packet)
        return self._update(packet)

    def _update(self, packet: MobilityPacket) -> BindingUpdate:
        assert isinstance(packet.message, BindingUpdate)
        return packet.message

    # Home agent --> mobile node

    def take_to_mobile(self) -> BindingAcknowledgement:
        self.settle()
        message = self.answers.popleft().message
        assert isinstance(message, BindingAcknowledgement)
        return message

    drop_to_mobile = take_to_mobile

    def to_mobile(self) -> BindingAcknowledgement:
        message = self.take_to_mobile()
        self.mobile.receive(message, self.now)
        self.settle()
        return message

    # Time

    def wait(self) -> float:
        """Let time pass until the next timer, handle it, and return the time."""
        timer = earliest(self.mobile.next_timer(), self.home_agent.next_timer())
        assert timer is not None and timer >= self.now
        self.now = timer
        for engine in (self.mobile, self.home_agent):
            if (wanted := engine.next_timer()) is not None and wanted <= self.now:
                engine.handle_timer(self.now)
        self.settle()
        return self.now

    def run_until(self, condition: Callable[[], bool], limit: int = 1000) -> None:
        """Deliver everything at once and let time pass until the condition holds."""
        for _ in range(limit):
            self.settle()
            while self.updates or self.answers:
                if self.updates:
                    self.to_home_agent()
                if self.answers:
                    self.to_mobile()
            if condition():
                return
            self.wait()
        raise AssertionError("the condition never held")

    def attach(self) -> None:
        self.mobile.register(self.now)
        self.to_home_agent()
        self.to_mobile()
        self._mobile_events.clear()
        assert len(self.home_agent.bindings()) == 1

    # What happened

    def mobile_events(self, kind: type[Wanted]) -> list[Wanted]:
        """The mobile node's events of that kind since they were asked for last."""
        self.settle()
        return _take(self._mobile_events, kind)

    def home_agent_events(self, kind: type[Wanted]) -> list[Wanted]:
        self.settle()
        return _take(self._home_agent_events, kind)

    def last_answer(self) -> BindingAcknowledgement:
        message = self.answered[-1]
        assert isinstance(message, BindingAcknowledgement)
        return message


def _take(events: list[Event], kind: type[Wanted]) -> list[Wanted]:
    taken = [event for event in events if isinstance(event, kind)]
    events[:] = [event for event in events if not isinstance(event, kind)]
    return taken
