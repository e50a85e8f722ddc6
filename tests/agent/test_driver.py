# SPDX-License-Identifier: GPL-2.0-or-later
"""The driver: what happens after each call into the engine, in which order; commands, the end, and faults."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from mn_dsmip.agent import driver as driver_module
from mn_dsmip.agent.control import CommandFailed
from mn_dsmip.agent.driver import Driver, Sinks
from mn_dsmip.agent.journal import Journal
from mn_dsmip.agent.store import Store
from mn_dsmip.engine.base import Datagram, Effect, Event, ProtocolError, Side
from mn_dsmip.engine.effects import (
    AttachFailed,
    AttachSucceeded,
    DetachFinished,
    RefreshSucceeded,
    SetMtu,
    SqnAdvanced,
)
from mn_dsmip.engine.ike.events import IkeSaRekeyed, RekeyFailed

HOME_AGENT, HOME_ADDRESS = IPv6Address("2001:db8:aaaa::1"), IPv6Address("2001:db8:100::7")
ATTACHED = AttachSucceeded(HOME_AGENT, IPv6Network("2001:db8:100::/64"), HOME_ADDRESS, None, HOME_ADDRESS, 3600)
PACKET = Datagram(Side.ACCESS, b"packet")


class Engine:
    """Does what a test tells it; ``log`` notes what the driver calls and does, in order."""

    def __init__(self, log: list[object]) -> None:
        self.log = log
        self.finished = False
        self.state = "idle"
        self.timer: float | None = None
        self.pending: list[Event] = []
        self.packets: list[Datagram] = []
        self.on: dict[str, Callable[[], None]] = {}

    def _do(self, name: str) -> None:
        self.log.append(name)
        self.on.get(name, lambda: None)()

    def receive_datagram(self, datagram: Datagram, now: float) -> None:
        self.log.append(datagram)
        self.on.get("receive", lambda: None)()

    def next_timer(self) -> float | None:
        return self.timer

    def handle_timer(self, now: float) -> None:
        assert self.timer is not None and self.timer <= now
        self.timer = None
        self._do("timer")

    def datagrams_to_send(self) -> list[Datagram]:
        out, self.packets = self.packets, []
        return out

    def events(self) -> list[Event]:
        events, self.pending = self.pending, []
        return events

    def attach(self, now: float) -> None:
        self._do("attach")

    def rekey(self, now: float) -> None:
        self._do("rekey")

    def refresh(self, now: float) -> None:
        self._do("refresh")

    def detach(self, now: float) -> None:
        self._do("detach")

    def shutdown(self, now: float) -> None:
        self._do("shutdown")

    def status(self, now: float) -> dict[str, Any]:
        return {"state": self.state, "counters": {"esp-replay": 1}}


class Datapath:
    def __init__(self, log: list[object]) -> None:
        self.log = log
        self.counters: Counter[str] = Counter({"tun-enobufs": 2})

    def open(self, loop: object, deliver: object) -> None:
        raise AssertionError("the driver does not open a data path")

    def send(self, datagrams: list[Datagram]) -> None:
        self.log.append(("send", list(datagrams)))

    def carry_out(self, effect: Effect) -> None:
        self.log.append(effect)

    def close(self) -> None:
        raise AssertionError("the driver does not close a data path")


@dataclass
class Bench:
    """A driver between a fake engine and a fake data path, with real files."""

    engine: Engine
    driver: Driver
    log: list[object]
    journal: Path

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.read_text().splitlines()]


def with_bench(tmp_path: Path, scenario: Callable[[Bench], Awaitable[None]]) -> Bench:
    """Run ``scenario`` beside a running driver, which is stopped at its end."""

    async def play() -> Bench:
        log: list[object] = []
        engine, datapath = Engine(log), Datapath(log)
        engine.on["shutdown"] = lambda: setattr(engine, "finished", True)
        store = Store(tmp_path / "state")
        record = store.record
        store.record = lambda changes: log.append(("record", changes)) or record(changes)  # type: ignore[method-assign]
        journal = Journal(tmp_path / "journal.jsonl")
        driver = Driver(engine, datapath, Sinks(journal, store), "ue1", "ue")
        driver.catch_signals()
        bench = Bench(engine, driver, log, tmp_path / "journal.jsonl")
        running = asyncio.ensure_future(driver.run())
        try:
            await asyncio.wait_for(scenario(bench), 10)
            driver.stop()
            await asyncio.wait_for(running, 10)
        finally:
            running.cancel()
            journal.close()
            store.close()
        return bench

    return asyncio.run(play())


def test_what_must_be_durable_comes_first_then_effects_then_packets(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        sqn, mtu = SqnAdvanced("001010000000001", 32), SetMtu(1460)

        def receive() -> None:
            bench.engine.pending, bench.engine.packets = [mtu, sqn], [PACKET]

        bench.engine.on["receive"] = receive
        bench.driver.receive([PACKET])
        assert bench.log == [PACKET, ("record", [sqn]), mtu, sqn, ("send", [PACKET])]

    bench = with_bench(tmp_path, scenario)
    assert [entry["event"] for entry in bench.entries()] == ["set_mtu", "sqn_advanced"]
    assert bench.entries()[1] | {"time": 0, "monotonic": 0} == {
        "version": 1, "time": 0, "monotonic": 0, "event": "sqn_advanced", "imsi": "001010000000001", "sqn": 32,
    }  # fmt: skip


def test_a_batch_is_one_turn(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        bench.engine.on["receive"] = lambda: bench.engine.packets.append(PACKET)
        bench.driver.receive([PACKET] * 3)
        assert bench.log == [PACKET] * 3 + [("send", [PACKET] * 3)]

    with_bench(tmp_path, scenario)


def test_one_timer_follows_the_engine(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        engine, driver = bench.engine, bench.driver
        rung: asyncio.Queue[float] = asyncio.Queue()
        engine.on["timer"] = lambda: rung.put_nowait(driver.now())
        begun = driver.now()
        engine.timer = begun + 30
        driver.enter(lambda now: None)
        engine.timer = begun + 0.02  # earlier than what is armed
        driver.enter(lambda now: None)
        assert await rung.get() >= begun + 0.02
        engine.timer = driver.now() - 1  # due already
        driver.enter(lambda now: None)
        await rung.get()
        engine.timer = driver.now() + 0.01
        driver.enter(lambda now: None)
        engine.timer = None  # disarmed
        driver.enter(lambda now: None)
        again = driver.now() + 0.05
        engine.timer = again
        driver.enter(lambda now: None)
        assert await rung.get() >= again
        assert bench.log == ["timer"] * 3

    with_bench(tmp_path, scenario)


async def refusal(bench: Bench, command: str, **arguments: str) -> str:
    with pytest.raises(CommandFailed) as refused:
        await bench.driver.command(command, arguments)
    return str(refused.value)


def test_commands(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        engine, command = bench.engine, bench.driver.command
        status = {"name": "ue1", "role": "ue", "state": "idle", "counters": {"esp-replay": 1, "tun-enobufs": 2}}
        assert await command("ping") == {}
        assert await command("status") == status

        engine.on["attach"] = lambda: engine.pending.append(ATTACHED)
        assert (await command("attach"))["home_address"] == str(HOME_ADDRESS)
        engine.state = "attached"
        assert await command("attach") == {**status, "state": "attached"}
        assert bench.log.count("attach") == 1
        engine.on["refresh"] = lambda: engine.pending.append(RefreshSucceeded(600))
        assert await command("refresh") == {"event": "refresh_succeeded", "lifetime": 600}
        engine.on["rekey"] = lambda: engine.pending.append(IkeSaRekeyed(b"1", b"2", b"3", "suite"))
        assert (await command("rekey"))["event"] == "ike_sa_rekeyed"
        engine.on["detach"] = lambda: engine.pending.append(DetachFinished(True))
        assert await command("detach") == {"event": "detach_finished", "confirmed": True}

    with_bench(tmp_path, scenario)


def test_commands_that_fail_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        engine = bench.engine

        def refuse() -> None:
            raise ProtocolError("there is no binding to refresh in state IDLE")

        engine.on["refresh"] = refuse
        assert await refusal(bench, "refresh") == "there is no binding to refresh in state IDLE"
        failure = AttachFailed("SECURING", "the gateway does not answer", "RFC 7296 2.4", None)
        engine.on["attach"] = lambda: engine.pending.append(failure)
        assert await refusal(bench, "attach") == "the gateway does not answer (RFC 7296 2.4)"
        engine.on["rekey"] = lambda: engine.pending.append(RekeyFailed(b"1", "the peer refuses", "RFC 7296 2.8"))
        assert await refusal(bench, "rekey") == "the peer refuses (RFC 7296 2.8)"
        assert await refusal(bench, "rekey", subscriber="1") == "only a gateway's rekey takes arguments"
        assert await refusal(bench, "redirect", gateway="::1") == "a ue knows no command redirect"
        engine.on["attach"] = lambda: None
        waiting = asyncio.ensure_future(refusal(bench, "attach"))
        while bench.log[-1:] != ["attach"] or bench.log.count("attach") < 2:
            await asyncio.sleep(0)
        engine.on["detach"] = lambda: engine.pending.append(DetachFinished(True))
        await asyncio.wait_for(bench.driver.command("detach"), 5)
        assert await waiting == "the PDN connection was ended meanwhile"
        monkeypatch.setattr(driver_module, "COMMAND_TIMEOUT", 0.01)
        assert await refusal(bench, "attach") == "nothing came of it within 0 s"
        del Engine.refresh  # as a gateway, which has no such call
        assert await refusal(bench, "refresh") == "a ue knows no command refresh"

    monkeypatch.setattr(Engine, "refresh", Engine.refresh)  # brings it back at the end
    with_bench(tmp_path, scenario)


def test_an_orderly_end_waits_for_the_goodbye(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        engine, driver = bench.engine, bench.driver
        said = asyncio.Event()
        engine.on["shutdown"] = said.set
        os.kill(os.getpid(), signal.SIGTERM)
        await said.wait()
        assert not engine.finished

        def answered() -> None:
            engine.finished = True
            engine.pending.append(DetachFinished(True))

        engine.on["receive"] = answered
        driver.receive([PACKET])

    bench = with_bench(tmp_path, scenario)
    assert bench.log[0] == "shutdown" and bench.log.count("shutdown") == 1


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        said = asyncio.Event()
        bench.engine.on["shutdown"] = said.set
        os.kill(os.getpid(), signal.SIGINT)
        await said.wait()
        os.kill(os.getpid(), signal.SIGINT)

    bench = with_bench(tmp_path, scenario)
    assert not bench.engine.finished


def test_a_goodbye_without_answer_ends_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "SHUTDOWN_TIMEOUT", 0.05)

    async def scenario(bench: Bench) -> None:
        bench.engine.on["shutdown"] = lambda: None

    bench = with_bench(tmp_path, scenario)
    assert bench.log == ["shutdown"] and not bench.engine.finished


def test_an_engine_that_has_nothing_to_end_is_left_alone(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        def refuse() -> None:
            bench.engine.finished = True
            raise ProtocolError("nothing to end")

        bench.engine.on["shutdown"] = refuse

    with_bench(tmp_path, scenario)


def fault() -> None:
    raise KeyError("oops")


BREAKING: dict[str, Callable[[Bench], object]] = {
    "receive": lambda bench: bench.driver.receive([PACKET]),
    "timer": lambda bench: (setattr(bench.engine, "timer", 0.0), bench.driver.enter(lambda now: None)),
    "shutdown": lambda bench: bench.driver.stop(),
    "callback": lambda bench: asyncio.get_running_loop().call_soon(fault),
    "enter": lambda bench: bench.driver.enter(lambda now: fault()),
    "command": lambda bench: asyncio.ensure_future(bench.driver.command("attach")),
}


@pytest.mark.parametrize("place", BREAKING)
def test_a_fault_of_ours_ends_the_agent_with_one_line(
    tmp_path: Path, place: str, capfd: pytest.CaptureFixture[str]
) -> None:
    begun: list[Bench] = []

    async def scenario(bench: Bench) -> None:
        begun.append(bench)
        bench.engine.on = {"receive": fault, "timer": fault, "attach": fault, "shutdown": fault}
        BREAKING[place](bench)
        while not bench.journal.read_text():
            await asyncio.sleep(0)

    with pytest.raises(KeyError, match="oops"):
        with_bench(tmp_path, scenario)
    (entry,) = begun[0].entries()
    assert entry["event"] == "agent_broken" and entry["reason"] == "KeyError: 'oops'"
    assert capfd.readouterr().err == ""
