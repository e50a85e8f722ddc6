# SPDX-License-Identifier: GPL-2.0-or-later
"""The one piece of asyncio: an engine between a datapath, a timer, a control socket and the files that keep its traces.

After every call into the engine: events first (what must be durable is made durable, effects are carried out, all is
journalled), then datagrams, then one timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, Protocol

from ..engine.base import Effect, Event, ProtocolError
from ..engine.effects import (
    AttachFailed,
    AttachSucceeded,
    DetachFinished,
    RefreshSucceeded,
)
from ..engine.ike.events import IkeSaRekeyed, RekeyFailed
from .control import CommandFailed
from .datapath.base import Datapath, Unit
from .journal import Journal, describe
from .keylog import KeyLog
from .store import Durable, Store

COMMAND_TIMEOUT = 120.0
"""Seconds a command may take: longer than any attach that still may succeed."""
SHUTDOWN_TIMEOUT = 5.0
"""Seconds for an orderly end; a second signal ends at once."""
_LONGEST_SLEEP = 3600.0


class AgentEngine(Protocol[Unit]):
    """A composite engine, as the driver uses it."""

    @property
    def finished(self) -> bool: ...

    def receive_datagram(self, datagram: Unit, now: float) -> None: ...

    def next_timer(self) -> float | None: ...

    def handle_timer(self, now: float) -> None: ...

    def datagrams_to_send(self) -> list[Unit]: ...

    def events(self) -> list[Event]: ...

    def shutdown(self, now: float) -> None: ...

    def status(self, now: float) -> dict[str, Any]: ...


class SidePort(Protocol):
    """Sockets beside the data path, which takes IP packets only."""

    counters: Counter[str]

    def flush(self) -> None:
        """Send what the engine has for it."""


@dataclass
class Sinks:
    """Where an engine's events go besides the datapath."""

    journal: Journal
    store: Store
    keylog: KeyLog | None = None
    publish: Callable[[bytes], None] = lambda line: None


class Driver(Generic[Unit]):
    """Runs ``engine`` on ``datapath`` until ``stop``; ``enter`` is the only way into the engine."""

    def __init__(self, engine: AgentEngine[Unit], datapath: Datapath[Unit], sinks: Sinks, name: str, role: str) -> None:
        self.engine = engine
        self._datapath = datapath
        self.sinks = sinks
        self._identity = {"name": name, "role": role}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._waiting: list[tuple[tuple[type[Event], ...], asyncio.Future[Event]]] = []
        self._stopping, self._hurry = asyncio.Event(), asyncio.Event()
        self._broken: BaseException | None = None
        self.side: SidePort | None = None
        """Another way out, for an engine that has one."""

    # --- into the engine and out of it

    def now(self) -> float:
        """The engine's time."""
        return self._loop.time()

    def enter(self, call: Callable[[float], object]) -> None:
        """Let ``call`` use the engine, then do what the engine wants done; whatever goes wrong ends the agent."""
        try:
            call(self.now())
            self._after()
        except Exception as fault:  # noqa: BLE001 - a fault of our own ends the agent in one line
            self._break(fault)

    def _try(self, call: Callable[[float], object]) -> None:
        """``enter`` for calls that the engine may refuse: ``ProtocolError`` then."""
        refusal = None

        def attempt(now: float) -> None:
            nonlocal refusal
            try:
                call(now)
            except ProtocolError as problem:
                refusal = problem

        self.enter(attempt)
        if refusal is not None:
            raise refusal

    def receive(self, datagrams: list[Unit]) -> None:
        """Take a batch from the datapath."""
        engine, now = self.engine, self.now()
        try:
            for datagram in datagrams:
                engine.receive_datagram(datagram, now)
            self._after()
        except Exception as fault:  # noqa: BLE001 - a fault of our own ends the agent in one line
            self._break(fault)

    def _after(self) -> None:
        events = self.engine.events()
        if events:
            self.sinks.store.record([each for each in events if isinstance(each, Durable)])
            for event in events:
                self._take(event)
        datagrams = self.engine.datagrams_to_send()
        if datagrams:
            self._datapath.send(datagrams)
        if self.side is not None:
            self.side.flush()
        self._arm()

    def _take(self, event: Event) -> None:
        if isinstance(event, Effect):
            self._datapath.carry_out(event)
        if self.sinks.keylog is not None:
            self.sinks.keylog.take(event)
        self.sinks.publish(self.sinks.journal.write(event, self.now()))
        for kinds, future in list(self._waiting):
            if isinstance(event, kinds) and not future.done():
                future.set_result(event)

    def _arm(self) -> None:
        due = self.engine.next_timer()
        if self._timer is not None:
            if due == self._due:
                return
            self._timer.cancel()
            self._timer = None
        self._due = due
        if due is not None:
            self._timer = self._loop.call_at(min(due, self.now() + _LONGEST_SLEEP), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.enter(self.engine.handle_timer)

    def _break(self, fault: BaseException) -> None:
        """A fault of ours: note it and end; the traceback is for developers (see ``run``)."""
        if self._broken is None:
            self._broken = fault
            reason = f"{type(fault).__name__}: {fault}"
            self.sinks.journal.write({"event": "agent_broken", "reason": reason}, self.now())
        self.stop()

    def _take_unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What asyncio would print: an exception out of a callback."""
        self._break(context.get("exception") or RuntimeError(context["message"]))

    # --- commands

    async def command(self, command: str, arguments: Mapping[str, str] = MappingProxyType({})) -> Any:
        """Carry out a control command; ``CommandFailed`` with a sentence when it cannot be."""
        if command == "ping":
            return {}
        if command == "status" or (command == "attach" and self._status()["state"] == "attached"):
            return self._status()
        call = getattr(self.engine, command, None)
        if call is None:
            raise CommandFailed(f"a {self._identity['role']} knows no command {command}")
        if self._identity["role"] == "gateway":
            return self._steer(call, arguments)
        if arguments:
            raise CommandFailed(f"only a gateway's {command} takes arguments")
        event = await self._perform(call, _OUTCOMES[command])
        if isinstance(event, RekeyFailed):
            raise CommandFailed(f"{event.reason} ({event.clause})")
        if isinstance(event, AttachFailed):
            raise CommandFailed(f"{event.reason} ({event.clause})")
        if isinstance(event, DetachFinished) and command != "detach":
            raise CommandFailed("the PDN connection was ended meanwhile")
        return describe(event)

    def _steer(self, call: Callable[..., dict[str, Any]], arguments: Mapping[str, str]) -> dict[str, Any]:
        """A command that concerns many peers only begins what it asks for; the journal tells what comes of it."""
        answer: dict[str, Any] = {}
        try:
            self._try(lambda now: answer.update(call(now, **arguments)))
        except ProtocolError as problem:
            raise CommandFailed(str(problem)) from None
        return answer

    def _status(self) -> dict[str, Any]:
        """The engine's status, with what the data path counted."""
        status = self.engine.status(self.now())
        counters = (
            Counter(status["counters"]) + self._datapath.counters + (self.side.counters if self.side else Counter())
        )
        return {**self._identity, **status, "counters": dict(sorted(counters.items()))}

    async def _perform(self, call: Callable[[float], object], outcomes: tuple[type[Event], ...]) -> Event:
        future: asyncio.Future[Event] = self._loop.create_future()
        entry = (outcomes, future)
        self._waiting.append(entry)
        try:
            self._try(call)
            return await asyncio.wait_for(future, COMMAND_TIMEOUT)
        except ProtocolError as problem:
            raise CommandFailed(str(problem)) from None
        except asyncio.TimeoutError:
            raise CommandFailed(f"nothing came of it within {COMMAND_TIMEOUT:.0f} s") from None
        finally:
            self._waiting.remove(entry)

    # --- the end

    def catch_signals(self) -> None:
        """From now on SIGTERM and SIGINT end ``run``, also when they come before it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.stop)
        self._loop.set_exception_handler(self._take_unhandled)

    def stop(self) -> None:
        """End ``run``; the first call ends orderly, the second at once."""
        (self._hurry if self._stopping.is_set() else self._stopping).set()

    async def run(self) -> None:
        """Serve until stopped, then let the engine say goodbye; raises what broke the engine."""
        self._arm()
        await self._stopping.wait()
        if self._broken is None:
            await self._say_goodbye()
        if self._timer is not None:
            self._timer.cancel()
        if self._broken is not None:
            raise self._broken

    async def _say_goodbye(self) -> None:
        deadline = self.now() + SHUTDOWN_TIMEOUT
        with contextlib.suppress(ProtocolError):
            self._try(self.engine.shutdown)
        while not self.engine.finished and self._broken is None and self.now() < deadline:
            settled: asyncio.Future[Event] = self._loop.create_future()
            entry = ((Event,), settled)
            self._waiting.append(entry)
            hurry = asyncio.ensure_future(self._hurry.wait())
            either: list[asyncio.Future[Any]] = [settled, hurry]
            await asyncio.wait(either, timeout=deadline - self.now(), return_when=asyncio.FIRST_COMPLETED)
            self._waiting.remove(entry)
            if hurry.done():
                return
            hurry.cancel()


_OUTCOMES: dict[str, tuple[type[Event], ...]] = {
    "attach": (AttachSucceeded, AttachFailed, DetachFinished),
    "refresh": (RefreshSucceeded, AttachFailed, DetachFinished),
    "detach": (DetachFinished,),
    "rekey": (IkeSaRekeyed, RekeyFailed, AttachFailed, DetachFinished),
}
