# SPDX-License-Identifier: GPL-2.0-or-later
"""One IKE SA, either role: message ids, retransmission, the SK payload. What messages mean is the tasks' matter.

Each side counts its own requests. The window is 1: the next request leaves when the last one is answered (RFC 7296
2.3). A request is repeated bit for bit; a response is kept and repeated when its request is (2.1).
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter, deque
from enum import Enum, auto
from math import inf
from typing import NamedTuple, Protocol

from ...crypto.kdf import IkeKeys
from ...crypto.suites import CryptoError, Opener, Sealer
from ...wire.codec import WireError
from ...wire.ikev2 import Message, build_payloads, parse_payloads
from ...wire.ikev2_numbers import Exchange, NotifyType
from ...wire.ikev2_payloads import Encrypted, Notify, Payload, UnknownPayload
from ..base import Event, IPAddress, Random, UdpDatagram, earliest
from .events import IkeSaClosed, Timers
from .proposals import Chosen
from .rules import notify

MAJOR_VERSION = 2
IKE_PORT, NAT_T_PORT = 500, 4500
NON_ESP_MARKER = bytes(4)
"""In front of IKE messages on port 4500 (RFC 3948 2.2)."""


class Path(NamedTuple):
    """Where the peer is, and where we are."""

    local: IPAddress
    local_port: int
    remote: IPAddress
    remote_port: int

    def datagram(self, message: bytes) -> UdpDatagram:
        """``message`` on its way to the peer."""
        if NAT_T_PORT in (self.local_port, self.remote_port):
            message = NON_ESP_MARKER + message
        return UdpDatagram(self.local, self.local_port, self.remote, self.remote_port, message)


def nat_hash(spi_i: bytes, spi_r: bytes, address: IPAddress, port: int) -> bytes:
    """Data of a NAT_DETECTION notify (RFC 7296 2.23)."""
    return hashlib.sha1(spi_i + spi_r + address.packed + struct.pack("!H", port)).digest()


class Nat(NamedTuple):
    """Who is behind a NAT, as the peer's NAT_DETECTION notifies tell (RFC 7296 2.23)."""

    peer: bool
    ourselves: bool


def detect_nat(payloads: tuple[Payload, ...], spi_i: bytes, spi_r: bytes, path: Path) -> Nat | None:
    """Compare the peer's view of the path with ours; ``None`` when it did not tell its own."""
    told = [each for each in payloads if isinstance(each, Notify)]
    sources = [each.data for each in told if each.notify_type == NotifyType.NAT_DETECTION_SOURCE_IP]
    destinations = [each.data for each in told if each.notify_type == NotifyType.NAT_DETECTION_DESTINATION_IP]
    if not sources or not destinations:
        return None
    return Nat(
        nat_hash(spi_i, spi_r, path.remote, path.remote_port) not in sources,
        nat_hash(spi_i, spi_r, path.local, path.local_port) not in destinations,
    )


class Progress(Enum):
    """What a task says after a response."""

    DONE = auto()
    MORE = auto()
    """The task has another request, with the next message id."""
    AGAIN = auto()
    """The same exchange anew with the same message id (COOKIE, INVALID_KE_PAYLOAD)."""
    WAIT = auto()
    """The response does not count; go on waiting for a better one."""


class Task(Protocol):
    """One exchange that this side starts, or a chain of them."""

    exchange: Exchange

    def build(self, now: float) -> list[Payload]:
        """The request's payloads."""

    def process(self, message: Message, payloads: tuple[Payload, ...], raw: bytes, now: float) -> Progress:
        """Take the response."""

    def timed_out(self, now: float) -> None:
        """Nobody answered."""


class _Request:
    """What we sent and have no answer to."""

    __slots__ = ("attempt", "deadline", "give_up", "message_id", "octets", "task")

    def __init__(self, task: Task, message_id: int, octets: bytes, deadline: float) -> None:
        self.task, self.message_id, self.octets, self.deadline, self.attempt = task, message_id, octets, deadline, 0
        self.give_up: float | None = None


class Session:
    """An IKE SA; ``initiator``: this side is its original initiator, which fixes flags and key directions."""

    def __init__(self, initiator: bool, path: Path, timers: Timers, random: Random, now: float) -> None:
        self.initiator = initiator
        self.path = path
        self.timers = timers
        self.random = random
        self.spi_i = self._new_spi() if initiator else bytes(8)
        self.spi_r = bytes(8) if initiator else self._new_spi()
        self.chosen: Chosen | None = None
        self.keys: IkeKeys | None = None
        self.established = False
        self.closed = False
        self.heard = now
        """When the peer last proved that it is alive."""
        self.own_nonce = self.peer_nonce = b""
        self.own_first = self.peer_first = b""
        """The IKE_SA_INIT messages that AUTH covers (RFC 7296 2.15)."""
        self.peer_hashes: tuple[int, ...] = ()
        self.nat: Nat | None = None
        self.counters: Counter[str] = Counter()
        self.tasks: deque[Task] = deque()
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._outstanding: _Request | None = None
        self._next_id = 0
        self._expected_id = 0 if initiator else 1
        self._response = b""
        self._answering = False
        self._events: list[Event] = []
        self._datagrams: list[UdpDatagram] = []

    def _new_spi(self) -> bytes:
        return self.random(8).replace(bytes(8), b"\xff" * 8)  # zero means no SPI yet (RFC 7296 3.1)

    @property
    def local_spi(self) -> bytes:
        """The SPI by which our own side finds this session."""
        return self.spi_i if self.initiator else self.spi_r

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
        waiting = self._outstanding.deadline if self._outstanding else None
        liveness = self.heard + self.timers.liveness if self.established and self.timers.liveness else None
        return earliest(waiting, None if waiting else liveness)

    def handle_timer(self, now: float) -> None:
        """Repeat a request, give it up, or ask whether the peer is alive."""
        request = self._outstanding
        if request and request.deadline <= now:
            request.attempt += 1
            if request.attempt >= self.timers.retransmission.tries or (request.give_up or now + 1) <= now:
                self._outstanding = None
                request.task.timed_out(now)
                return
            request.deadline = min(now + self.timers.retransmission.delay(request.attempt), request.give_up or inf)
            self._send(request.octets)
        elif not request and self.established and self.timers.liveness and self.heard + self.timers.liveness <= now:
            self.check_liveness(now)

    def check_liveness(self, now: float) -> None:
        """Have the subclass ask the peer for a sign of life."""
        raise NotImplementedError

    # --- requests of our own

    def emit(self, event: Event) -> None:
        """Tell the user."""
        self._events.append(event)

    def queue(self, task: Task, now: float) -> None:
        """Run ``task`` when those before it are done."""
        self.tasks.append(task)
        self._start_next(now)

    def _start_next(self, now: float) -> None:
        if not self._outstanding and self.tasks and not self.closed:
            self._request(self.tasks[0], self._next_id, now)

    def _request(self, task: Task, message_id: int, now: float) -> None:
        octets = self.build(task.exchange, message_id, task.build(now), is_response=False)
        if task.exchange == Exchange.IKE_SA_INIT:
            self.own_first = octets
        self._outstanding = _Request(task, message_id, octets, now + self.timers.retransmission.delay(0))
        self._send(octets)

    def report(self, kind: NotifyType) -> None:
        """Tell the peer once why we take its last response for the end; nobody waits for an answer (2.21.2)."""
        assert self._outstanding
        message_id = self._outstanding.message_id + 1
        self._send(self.build(Exchange.INFORMATIONAL, message_id, [Notify(kind)], is_response=False))

    def hurry(self, until: float) -> None:
        """Give the outstanding request up at ``until`` at the latest (RFC 7296 2.21.1)."""
        request = self._outstanding
        if request:
            request.give_up = min(until, request.give_up or until)
            request.deadline = min(request.deadline, request.give_up)

    def close(self, reason: str, by_peer: bool) -> None:
        """The IKE SA is no more; a closed session still repeats its last response."""
        if self.closed:
            return
        self.closed = True
        self._outstanding = None
        self.tasks.clear()
        if self.established:
            self.emit(IkeSaClosed(self.local_spi, reason, by_peer))

    def _send(self, octets: bytes) -> None:
        self._datagrams.append(self.path.datagram(octets))

    def send_response(self, octets: bytes) -> None:
        """Send a response and keep it for repetition; the peer's next request is the following one."""
        self._response, self._answering = octets, False
        self._send(octets)

    def repeat_response(self, path: Path) -> None:
        """The peer repeated a request: repeat the answer, to where the request came from (RFC 7296 2.11)."""
        self.counters["ike-repeated-request"] += 1
        self._datagrams.append(path.datagram(self._response))

    # --- messages in

    def receive(self, message: Message, raw: bytes, path: Path, now: float) -> None:
        """Take a message that carries this session's SPIs."""
        if message.version >> 4 != MAJOR_VERSION:
            self.counters["ike-version"] += 1
        elif message.from_original_initiator == self.initiator:
            self.counters["ike-reflected"] += 1
        elif message.is_response:
            self._receive_response(message, raw, now)
        else:
            self._receive_request(message, raw, path, now)

    def _receive_response(self, message: Message, raw: bytes, now: float) -> None:
        request = self._outstanding
        if not request or message.message_id != request.message_id or message.exchange != request.task.exchange:
            self.counters["ike-unexpected-response"] += 1
            return
        payloads = message.payloads
        if message.exchange != Exchange.IKE_SA_INIT:
            opened = self._open(message, raw)
            if opened is None:
                return
            self.heard = now
            problem = _fatal(opened, self.established)
            if problem:
                self.counters["ike-malformed"] += 1
                self.close(problem, by_peer=False)
                return
            assert isinstance(opened, tuple)
            payloads = opened
        progress = request.task.process(message, payloads, raw, now)
        if progress is Progress.WAIT or self._outstanding is not request:
            return
        self._outstanding = None
        if progress is Progress.AGAIN:
            self._request(request.task, request.message_id, now)
            return
        self._next_id = request.message_id + 1
        if progress is Progress.DONE and self.tasks:
            self.tasks.popleft()
        self._start_next(now)

    def _receive_request(self, message: Message, raw: bytes, path: Path, now: float) -> None:
        if message.message_id != self._expected_id or self._answering:
            if message.message_id != self._expected_id - 1 or not self._response:
                self.counters["ike-message-id"] += 1
            elif self._open(message, raw) is not None:
                self.repeat_response(path)
            return
        if self.closed:
            return
        payloads = self._open(message, raw)
        if payloads is None:
            return
        self.heard = now
        self.path = path if path.local == self.path.local else self.path
        self._expected_id += 1
        self._response, self._answering = b"", True
        if isinstance(payloads, WireError):
            self.counters["ike-malformed"] += 1
            self.respond(message, [Notify(NotifyType.INVALID_SYNTAX)])
            self.close(f"the peer sent a malformed message: {payloads}", by_peer=False)
            return
        refused = refuse_critical(payloads)
        if refused:
            self.counters["ike-critical-payload"] += 1
            self.respond(message, [refused])
            return
        self.handle_request(message, payloads, now)

    def handle_request(self, message: Message, payloads: tuple[Payload, ...], now: float) -> None:
        """Answer the peer's request; the subclass's matter."""
        raise NotImplementedError

    def respond(self, request: Message, payloads: list[Payload]) -> None:
        """Answer ``request``."""
        self.send_response(self.build(request.exchange, request.message_id, payloads, is_response=True))

    # --- the SK payload

    def use_keys(self, chosen: Chosen, keys: IkeKeys) -> None:
        """Protect everything from now on."""
        self.chosen, self.keys = chosen, keys
        own, peer = ((keys.ei, keys.ai), (keys.er, keys.ar))[:: 1 if self.initiator else -1]
        self._sealer = Sealer(chosen.protection, *own, self.random)
        self._opener = Opener(chosen.protection, *peer)

    def build(self, exchange: int, message_id: int, payloads: list[Payload], is_response: bool) -> bytes:
        """A message, sealed unless it is of IKE_SA_INIT."""
        message = Message(self.spi_i, self.spi_r, exchange, message_id, (), self.initiator, is_response)
        first, inner = build_payloads(payloads)
        if exchange == Exchange.IKE_SA_INIT:
            return message.header(first, len(inner)) + inner
        assert self._sealer
        block = self._sealer.protection.encryption.block
        padding = -(len(inner) + 1) % block
        plaintext = inner + bytes(padding) + bytes((padding,))
        associated = message.associated_data(first, self._sealer.overhead() + len(plaintext))
        return associated + self._sealer.seal(plaintext, associated)

    def _open(self, message: Message, raw: bytes) -> tuple[Payload, ...] | WireError | None:
        """The inner payloads; ``None`` for what is not genuine; an error for genuine octets that do not parse."""
        sealed = message.payloads[-1] if message.payloads else None
        if not isinstance(sealed, Encrypted) or len(message.payloads) != 1 or not self._opener:
            self.counters["ike-unprotected"] += 1
            return None
        try:
            plaintext = self._opener.open(sealed.body, raw[: len(raw) - len(sealed.body)])
        except CryptoError:
            self.counters["ike-integrity"] += 1
            return None
        if not plaintext or plaintext[-1] >= len(plaintext):
            return WireError("the padding of the SK payload is longer than its content")
        try:
            return parse_payloads(sealed.first_inner, plaintext[: -1 - plaintext[-1]])
        except WireError as error:
            return error


def refuse_critical(payloads: tuple[Payload, ...]) -> Notify | None:
    """The answer to a message with an unknown payload that is marked critical (RFC 7296 2.5)."""
    found = next((each for each in payloads if isinstance(each, UnknownPayload) and each.critical), None)
    if found is None:
        return None
    return Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes((found.payload_type,)))


def _fatal(response: tuple[Payload, ...] | WireError, established: bool) -> str:
    """Why a genuine response ends the IKE SA (RFC 7296 2.5, 2.21, 2.21.3); empty when it does not."""
    if isinstance(response, WireError):
        return f"the peer sent a malformed message: {response}"
    if refuse_critical(response):
        return "the peer's answer has an unknown payload that is marked critical"
    if established and notify(response, NotifyType.INVALID_SYNTAX):
        return "the peer finds our request malformed (INVALID_SYNTAX)"
    return ""
