# SPDX-License-Identifier: GPL-2.0-or-later
"""What one peer and we have agreed on: the current IKE SA, those it replaced, and the child SAs, in either role.

A session keeps its name and its child SAs when its IKE SA is rekeyed: its user need not know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container

from ...crypto.kdf import IkeKeys
from ...wire.ikev2 import Message
from ...wire.ikev2_payloads import Payload
from ..base import Event, Random, UdpDatagram, earliest
from .events import ChildSa, ChildSaClosed, ChildSaEstablished, IkeSaClosed, Timers
from .informational import DeleteChildTask
from .path import NAT_T_PORT, Nat, Path
from .proposals import Chosen, Profile
from .rekey_child import RekeyChildTask
from .rekey_ike import RekeyIkeTask
from .sa import Sa, Task

MAJOR_VERSION = 2
MOST_REPLACED = 16
"""IKE SAs kept after their replacement; none is needed longer than a few round trips."""
IPV4 = 4


class Session:
    """An IKE SA through all its rekeyings; ``initiator``: this side set up the first of them."""

    def __init__(
        self,
        initiator: bool,
        profile: Profile,
        path: Path,
        timers: Timers,
        random: Random,
        now: float,
        taken: Container[bytes] = (),
    ) -> None:
        self.path = path
        self.profile = profile
        self.timers = timers
        self.random = random
        self._taken = taken
        self.began = initiator
        self.other = "the gateway" if initiator else "the peer"
        """What sentences call it."""
        own = self.new_spi()
        self.name = own
        """What events call this session: our first SPI."""
        self.current = Sa(self, True, own, bytes(8)) if initiator else Sa(self, False, bytes(8), own, expected_id=1)
        self.others: list[Sa] = []
        """IKE SAs that were replaced, or are not yet used, but still exist at the peer."""
        self.established = False
        self.closed = False
        self.heard = now
        """When the peer last proved that it is alive."""
        self.own_nonce = self.peer_nonce = b""
        self.own_first = self.peer_first = b""
        """The IKE_SA_INIT messages that AUTH covers (RFC 7296 2.15)."""
        self.peer_hashes: tuple[int, ...] = ()
        self.nat: Nat | None = None
        self.reminded = now
        """When we last sent a keepalive; a NAT in front of us forgets a path that is not used."""
        self.fragment_size = 0
        """Octets of an IP datagram from which on messages go in fragments; 0: the peer takes none (RFC 7383)."""
        self.counters: Counter[str] = Counter()
        self.children: dict[bytes, ChildSa] = {}
        """Child SAs by our inbound SPI."""
        self.unconfirmed: dict[bytes, float] = {}
        """Child SAs that the peer may not know of: it has sent no request since our answer, at that time."""
        self._delayed: list[tuple[float, bytes, Callable[[float], None]]] = []
        self._events: list[Event] = []
        self._datagrams: list[UdpDatagram] = []

    def new_spi(self) -> bytes:
        """An IKE SPI that no other session has; zero means none (RFC 7296 3.1)."""
        while (spi := self.random(8)) in self._taken or not any(spi):
            pass
        return spi

    @property
    def keys(self) -> IkeKeys | None:
        """Those of the current IKE SA."""
        return self.current.keys

    @property
    def chosen(self) -> Chosen | None:
        """The algorithms of the current IKE SA."""
        return self.current.chosen

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What runs or waits in the current IKE SA."""
        return tuple(self.current.tasks)

    @property
    def sas(self) -> list[Sa]:
        """All IKE SAs, the current one first."""
        return [self.current, *self.others]

    # --- the verbs

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def datagrams_to_send(self) -> list[UdpDatagram]:
        """What is to leave now."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due."""
        if self.closed:
            return None
        waiting = self.current.next_timer()
        others = [time for sa in self.others for time in (sa.next_timer(), sa.expires)]
        liveness = self.heard + self.timers.liveness if self.established and self.timers.liveness else None
        delayed = self._delayed[0][0] if self._delayed else None
        return earliest(waiting, None if waiting else liveness, delayed, self._keepalive(), *others)

    def _keepalive(self) -> float | None:
        """When the NAT in front of us is to be reminded (RFC 3948 4); whenever the peer is heard, we have sent."""
        behind = self.nat is not None and self.nat.ourselves and self.established and self.path.local_port == NAT_T_PORT
        return (
            max(self.reminded, self.heard) + self.timers.nat_keepalive if behind and self.timers.nat_keepalive else None
        )

    def handle_timer(self, now: float) -> None:
        """Repeat or give up requests, try again what the peer was too busy for, or ask whether it is alive."""
        for sa in self.sas:
            sa.handle_timer(now)
        remind = self._keepalive()
        if remind is not None and remind <= now and not self.closed:
            self._datagrams.append(self.path.keepalive())
            self.reminded = now
        self.others = [sa for sa in self.others if sa.expires is None or sa.expires > now]
        while self._delayed and self._delayed[0][0] <= now and not self.closed:
            self._delayed.pop(0)[2](now)
        idle = self.current.next_timer() is None and self.established and self.timers.liveness
        if idle and not self.closed and self.heard + self.timers.liveness <= now:
            self.check_liveness(now)

    def check_liveness(self, now: float) -> None:
        """Have the subclass ask the peer for a sign of life."""
        raise NotImplementedError

    # --- for the tasks

    def emit(self, event: Event) -> None:
        """Tell the user, and keep track of child SAs on the way."""
        if isinstance(event, ChildSaEstablished):
            spi = event.child.inbound_spi
            self.children[spi] = event.child
            if self.timers.child_lifetime:
                due = self.heard + self._before(self.timers.child_lifetime, spi)
                self.later(due, lambda then: self.rekey_child(spi, then), spi)
        elif isinstance(event, ChildSaClosed):
            self.children.pop(event.inbound_spi, None)
            self._give_up(event.inbound_spi)
        self._events.append(event)

    def queue(self, task: Task, now: float) -> None:
        """Run ``task`` in the current IKE SA when those before it are done."""
        self.current.queue(task, now)

    def try_again(self, now: float, call: Callable[[float], None]) -> None:
        """Make ``call`` when the peer may be less busy; each side at a time of its own (RFC 7296 2.25)."""
        self.later(now + self.timers.again * (1.0 if self.began else 1.5), call)

    def later(self, when: float, call: Callable[[float], None], about: bytes = b"") -> None:
        """Make ``call`` at that time, if the session lives; it takes the place of an earlier one ``about`` the same."""
        self._give_up(about)
        self._delayed.append((when, about, call))
        self._delayed.sort(key=lambda one: one[0])

    def _give_up(self, about: bytes) -> None:
        self._delayed = [one for one in self._delayed if not about or one[1] != about]

    def send(self, messages: list[bytes], path: Path | None = None) -> None:
        """Send a message, or its fragments, to where the peer is or along ``path``."""
        self._datagrams += [(path or self.path).datagram(octets) for octets in messages]

    @property
    def esp_in_udp(self) -> bool:
        """Whether ESP goes in UDP as well: only past a NAT, on whatever port IKE is (RFC 7296 2.23)."""
        return self.nat is not None and any(self.nat) and self.path.local_port == NAT_T_PORT

    def float_ports(self) -> None:
        """Go on with port 4500, where a NAT can tell UEs apart, and IPv4 access always does (RFC 7296 2.23, 5555 5)."""
        if self.nat is not None and (self.nat.peer or self.nat.ourselves or self.path.local.version == IPV4):
            self.path = self.path.floated

    def heard_from(self, path: Path, now: float) -> None:
        """The peer proved that it is alive, and where."""
        self.heard = now
        self.path = path if path.local == self.path.local else self.path

    def report(self, payload: Payload) -> None:
        """Tell the peer once that its last response is the end."""
        self.current.report(payload)

    def hurry(self, until: float) -> None:
        """Do not wait for an answer longer than ``until``."""
        self.current.hurry(until)

    def adopt(self, sa: Sa, now: float) -> None:
        """Let ``sa`` replace the current IKE SA; child SAs are inherited (RFC 7296 2.8)."""
        if sa in self.others:
            self.others.remove(sa)
        old, self.current = self.current, sa
        self.retire(old, now)
        old.hand_over(sa, now)

    def succeed(self, sa: Sa, now: float) -> None:
        """The peer closes ``sa``: if it rekeyed while we did, it saw its own end of that and not ours (2.8.2)."""
        running = sa.running
        if isinstance(running, RekeyIkeTask):
            running.give_way(now)

    def retire(self, sa: Sa, now: float) -> None:
        """Keep an IKE SA that is not used any more, until it is closed or its time is up."""
        sa.expires = now + self.timers.linger
        if sa not in self.others:
            self.others.append(sa)
        del self.others[:-MOST_REPLACED]  # a peer may rekey faster than time passes

    def child_of_peer(self, spi: bytes) -> ChildSa | None:
        """The child SA that the peer knows by its own inbound ``spi``."""
        return next((child for child in self.children.values() if child.outbound_spi == spi), None)

    def close(self, reason: str, by_peer: bool) -> None:
        """The IKE SA is no more; a closed session still repeats its last response."""
        if self.closed:
            return
        self.closed = True
        for sa in self.sas:
            sa.close()
        if self.established:
            self.emit(IkeSaClosed(self.name, reason, by_peer))

    # --- new keys

    def rekey(self, now: float) -> None:
        """Replace the keys of the IKE SA; ``IkeSaRekeyed`` or ``RekeyFailed`` follows."""
        if self.established and not self.closed and not any(isinstance(each, RekeyIkeTask) for each in self.tasks):
            self.queue(RekeyIkeTask(self), now)

    def rekey_child(self, spi: bytes, now: float) -> None:
        """Replace the child SA with our inbound ``spi``; an established one that names it as replaced follows."""
        child = self.children.get(spi)
        if child is None or self.closed or any(_concerns(each, child) for each in self.tasks):
            return
        answered = self.unconfirmed.get(spi)
        if answered is not None and now < answered + self.timers.linger:  # after that a peer in need would have asked
            self.try_again(now, lambda then: self.rekey_child(spi, then))
        else:
            self.queue(RekeyChildTask(self, child), now)

    def schedule_rekey(self, now: float) -> None:
        """Replace the current IKE SA's keys before they are too old."""
        if self.timers.ike_lifetime:
            sa = self.current
            self.later(
                now + self._before(self.timers.ike_lifetime, sa.local_spi),
                lambda then: self.rekey(then) if sa is self.current else None,
                self.name,
            )

    def _before(self, lifetime: float, spi: bytes) -> float:
        """Some time before the end; who began the session comes first, so both seldom begin at once (RFC 7296 2.8)."""
        return lifetime * ((0.80 if self.began else 0.90) + spi[0] / 2560)

    # --- messages in

    def find(self, message: Message) -> Sa | None:
        """The IKE SA that a message belongs to; the responder's SPI is unknown before the first answer."""
        for sa in self.sas:
            if message.initiator_spi == sa.spi_i and (sa.spi_r in (message.responder_spi, bytes(8))):
                return sa
        return None

    def receive(self, message: Message, raw: bytes, path: Path, now: float) -> None:
        """Take a message that carries the SPIs of one of our IKE SAs."""
        sa = self.find(message)
        if message.version >> 4 != MAJOR_VERSION:
            self.counters["ike-version"] += 1
        elif sa is None:
            self.counters["ike-unknown-spi"] += 1
        else:
            sa.receive(message, raw, path, now)

    def handle_request(self, sa: Sa, message: Message, payloads: tuple[Payload, ...], now: float) -> None:
        """Answer the peer's request; the subclass's matter."""
        raise NotImplementedError


def _concerns(task: Task, child: ChildSa) -> bool:
    """Whether a child SA is being replaced or closed already."""
    if isinstance(task, RekeyChildTask):
        return task.old is child
    return isinstance(task, DeleteChildTask) and task.spi == child.inbound_spi
