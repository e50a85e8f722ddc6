# SPDX-License-Identifier: GPL-2.0-or-later
"""One pair of IKE SPIs with its keys: message ids, retransmission, the SK payload; not what messages mean.

Each side counts its own requests. The window is 1: the next request leaves when the last one is answered (RFC 7296
2.3). A request is repeated bit for bit; a response is kept and repeated when its request is (2.1). Rekeying makes a
new ``Sa`` beside the old one; a ``Session`` holds both until the old one is closed.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING, Protocol

from ...crypto.kdf import IkeKeys
from ...crypto.suites import CryptoError, Opener, Sealer
from ...wire.codec import WireError
from ...wire.ikev2 import Message, build_payloads, parse_payloads
from ...wire.ikev2_numbers import Exchange, NotifyType
from ...wire.ikev2_payloads import Encrypted, EncryptedFragment, Notify, Payload, UnknownPayload
from .fragmentation import Reassembly, padded, room, seal_fragments
from .path import Path
from .proposals import Chosen
from .rules import notify

if TYPE_CHECKING:
    from .session import Session


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

    __slots__ = ("attempt", "deadline", "give_up", "message_id", "messages", "task")

    def __init__(self, task: Task, message_id: int, messages: list[bytes], deadline: float) -> None:
        self.task, self.message_id, self.messages, self.deadline, self.attempt = task, message_id, messages, deadline, 0
        self.give_up: float | None = None


class Sa:
    """An IKE SA as two SPIs name it; ``initiator``: this side asked for it, which fixes flags and key directions."""

    def __init__(self, session: Session, initiator: bool, spi_i: bytes, spi_r: bytes, expected_id: int = 0) -> None:
        self.session = session
        self.initiator = initiator
        self.spi_i, self.spi_r = spi_i, spi_r
        self.chosen: Chosen | None = None
        self.keys: IkeKeys | None = None
        self.tasks: deque[Task] = deque()
        self.closed = False
        self.expires: float | None = None
        """When an SA that was replaced or closed is forgotten; until then it repeats its last response."""
        self.expected_id = expected_id
        self.next_id = 0
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._outstanding: _Request | None = None
        self._response: list[bytes] = []
        self._answering = False
        self._pieces: dict[bool, Reassembly] = {}  # of a request and of a response

    @property
    def local_spi(self) -> bytes:
        """The SPI that we chose."""
        return self.spi_i if self.initiator else self.spi_r

    @property
    def running(self) -> Task | None:
        """The task that waits for a response."""
        return self._outstanding.task if self._outstanding else None

    # --- time

    def next_timer(self) -> float | None:
        """When an outstanding request is to be repeated."""
        return self._outstanding.deadline if self._outstanding else None

    def handle_timer(self, now: float) -> None:
        """Repeat a request, or give it up."""
        request, timers = self._outstanding, self.session.timers.retransmission
        if request is None or request.deadline > now:
            return
        request.attempt += 1
        if request.attempt >= timers.tries or (request.give_up or now + 1) <= now:
            self._outstanding = None
            request.task.timed_out(now)
            return
        request.deadline = min(now + timers.delay(request.attempt), request.give_up or inf)
        self.session.send(request.messages)

    def hurry(self, until: float) -> None:
        """Give the outstanding request up at ``until`` at the latest (RFC 7296 2.21.1)."""
        request = self._outstanding
        if request:
            request.give_up = min(until, request.give_up or until)
            request.deadline = min(request.deadline, request.give_up)

    # --- requests of our own

    def queue(self, task: Task, now: float) -> None:
        """Run ``task`` when those before it are done."""
        self.tasks.append(task)
        self.start_next(now)

    def start_next(self, now: float) -> None:
        """Send the next task's request unless one is outstanding."""
        if not self._outstanding and self.tasks and not self.closed:
            self._request(self.tasks[0], self.next_id, now)

    def _request(self, task: Task, message_id: int, now: float) -> None:
        messages = self.build(task.exchange, message_id, task.build(now), is_response=False)
        if task.exchange == Exchange.IKE_SA_INIT:
            [self.session.own_first] = messages
        self._outstanding = _Request(task, message_id, messages, now + self.session.timers.retransmission.delay(0))
        self.session.send(messages)

    def report(self, payload: Payload) -> None:
        """Tell the peer once that its last response is the end; nobody waits for an answer (2.21.2)."""
        assert self._outstanding
        message_id = self._outstanding.message_id + 1
        self.session.send(self.build(Exchange.INFORMATIONAL, message_id, [payload], is_response=False))

    def close(self) -> None:
        """Nothing more is asked and nothing more is answered, but for repetitions of the last response."""
        self.closed = True
        self._outstanding = None
        self.tasks.clear()

    def hand_over(self, successor: Sa, now: float) -> None:
        """Let ``successor`` do what waits here; what is under way is finished here (RFC 7296 2.8)."""
        running = self.running
        successor.tasks.extend(task for task in self.tasks if task is not running)
        self.tasks = deque(task for task in self.tasks if task is running)
        successor.start_next(now)

    # --- responses of our own

    def respond(self, request: Message, payloads: list[Payload]) -> None:
        """Answer ``request``."""
        self.send_response(self.build(request.exchange, request.message_id, payloads, is_response=True))

    def send_response(self, messages: list[bytes]) -> None:
        """Send a response and keep it for repetition; the peer's next request is the following one."""
        self._response, self._answering = messages, False
        self.session.send(messages)

    def repeat_response(self, path: Path) -> None:
        """The peer repeated a request: repeat the answer, to where the request came from (RFC 7296 2.11)."""
        self.session.counters["ike-repeated-request"] += 1
        self.session.send(self._response, path)

    # --- messages in

    def receive(self, message: Message, raw: bytes, path: Path, now: float) -> None:
        """Take a message that carries these SPIs."""
        if message.from_original_initiator == self.initiator:
            self.session.counters["ike-reflected"] += 1
        elif message.is_response:
            self._receive_response(message, raw, now)
        else:
            self._receive_request(message, raw, path, now)

    def _receive_response(self, message: Message, raw: bytes, now: float) -> None:
        request, session = self._outstanding, self.session
        if not request or message.message_id != request.message_id or message.exchange != request.task.exchange:
            session.counters["ike-unexpected-response"] += 1
            return
        payloads = message.payloads
        if message.exchange != Exchange.IKE_SA_INIT:
            opened = self._open(message, raw)
            if opened is None:
                return
            session.heard = now
            problem = _fatal(opened, session.established)
            if problem:
                session.counters["ike-malformed"] += 1
                session.close(problem, by_peer=False)
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
        self.next_id = request.message_id + 1
        if progress is Progress.DONE and self.tasks:
            self.tasks.popleft()
        self.start_next(now)

    def _receive_request(self, message: Message, raw: bytes, path: Path, now: float) -> None:
        session = self.session
        if message.message_id != self.expected_id or self._answering:
            if message.message_id != self.expected_id - 1 or not self._response:
                session.counters["ike-message-id"] += 1
            elif self._repeats(message, raw):
                self.repeat_response(path)
            return
        if self.closed:
            return
        payloads = self._open(message, raw)
        if payloads is None:
            return
        session.heard_from(path, now)
        session.unconfirmed.clear()  # with a window of one, a new request says that the last answer arrived
        self.expected_id += 1
        self._response, self._answering = [], True
        if isinstance(payloads, WireError):
            session.counters["ike-malformed"] += 1
            self.respond(message, [Notify(NotifyType.INVALID_SYNTAX)])
            session.close(f"the peer sent a malformed message: {payloads}", by_peer=False)
            return
        refused = refuse_critical(payloads)
        if refused:
            session.counters["ike-critical-payload"] += 1
            self.respond(message, [refused])
            return
        session.handle_request(self, message, payloads, now)

    # --- the SK payload

    def use_keys(self, chosen: Chosen, keys: IkeKeys) -> None:
        """Protect everything from now on."""
        self.chosen, self.keys = chosen, keys
        own, peer = ((keys.ei, keys.ai), (keys.er, keys.ar))[:: 1 if self.initiator else -1]
        self._sealer = Sealer(chosen.protection, *own, self.session.random)
        self._opener = Opener(chosen.protection, *peer)

    def build(self, exchange: int, message_id: int, payloads: list[Payload], is_response: bool) -> list[bytes]:
        """A message, sealed unless it is of IKE_SA_INIT, and in fragments when it is long and the peer takes them."""
        message = Message(self.spi_i, self.spi_r, exchange, message_id, (), self.initiator, is_response)
        first, inner = build_payloads(payloads)
        if exchange == Exchange.IKE_SA_INIT:
            return [message.header(first, len(inner)) + inner]
        assert self._sealer
        limit = self.session.fragment_size
        if limit and len(inner) > room(self._sealer, limit):
            return list(seal_fragments(message, first, inner, self._sealer, limit))
        plaintext = padded(inner, self._sealer)
        associated = message.associated_data(first, self._sealer.overhead() + len(plaintext))
        return [associated + self._sealer.seal(plaintext, associated)]

    def _repeats(self, message: Message, raw: bytes) -> bool:
        """Whether a genuine request is here again; of one in fragments the first counts (RFC 7383 2.6.1)."""
        sealed = message.payloads[-1] if message.payloads else None
        if isinstance(sealed, EncryptedFragment) and sealed.fragment != 1:
            return False
        return self._unseal(message, raw) is not None

    def _unseal(self, message: Message, raw: bytes) -> bytes | WireError | None:
        """What an SK or SKF payload carries; ``None`` when it is not genuine."""
        sealed = message.payloads[-1] if message.payloads else None
        if not isinstance(sealed, Encrypted | EncryptedFragment) or len(message.payloads) != 1 or not self._opener:
            self.session.counters["ike-unprotected"] += 1
            return None
        try:
            plaintext = self._opener.open(sealed.body, raw[: len(raw) - len(sealed.body)])
        except CryptoError:
            self.session.counters["ike-integrity"] += 1
            return None
        if not plaintext or plaintext[-1] >= len(plaintext):
            return WireError("the padding of the SK payload is longer than its content")
        return plaintext[: -1 - plaintext[-1]]

    def _open(self, message: Message, raw: bytes) -> tuple[Payload, ...] | WireError | None:
        """The inner payloads; ``None`` for what is not genuine or not whole; an error for what does not parse."""
        content = self._unseal(message, raw)
        if content is None or isinstance(content, WireError):
            return content
        sealed = message.payloads[-1]
        if isinstance(sealed, Encrypted):
            first = sealed.first_inner
        else:
            assert isinstance(sealed, EncryptedFragment)
            whole = self._put_together(message, sealed, content)
            if whole is None:
                return None
            first, content = whole
        try:
            return parse_payloads(first, content)
        except WireError as error:
            return error

    def _put_together(self, message: Message, piece: EncryptedFragment, content: bytes) -> tuple[int, bytes] | None:
        if not self.session.fragment_size:
            self.session.counters["ike-fragment-unasked"] += 1
            return None
        pieces = self._pieces.get(message.is_response)
        if pieces is None or pieces.message_id != message.message_id:
            pieces = self._pieces[message.is_response] = Reassembly(message.message_id)
        whole = pieces.add(piece, content)
        if whole is None:
            return None
        del self._pieces[message.is_response]
        return pieces.first, whole


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
