# SPDX-License-Identifier: GPL-2.0-or-later
"""One agent in the foreground: configuration, engine, datapath, driver; until a signal ends it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from ..engine.aaa.client import AaaDatagram
from ..engine.ue_states import Access
from .aaa_config import AaaSettings, load_aaa
from .build import build_aaa, build_gateway, build_ue
from .config import Common, GatewaySettings, UeSettings, load_gateway, load_ue
from .control import ControlServer
from .datapath.base import Datapath, Unit
from .datapath.gateway import GatewayDatapath
from .datapath.ue import UeDatapath
from .driver import AgentEngine, Driver, Sinks
from .journal import Journal
from .keylog import KeyLog
from .radius_port import RadiusPort
from .store import Store
from .udp_ports import UdpPorts

FORMAT_VERSION = 1


def run_ue(path: Path, ready_fd: int | None) -> None:
    """Run a UE until it is told to end; its errors are ``ConfigError``, ``EnvironmentProblem``, ``OSError``."""
    settings = load_ue(path)
    asyncio.run(_run_ue(settings, ready_fd))


def run_gateway(path: Path, ready_fd: int | None) -> None:
    """Run a gateway until it is told to end; its errors are ``ConfigError``, ``EnvironmentProblem``, ``OSError``."""
    settings = load_gateway(path)
    asyncio.run(_run_gateway(settings, ready_fd))


def run_aaa(path: Path, ready_fd: int | None) -> None:
    """Run an AAA server until it is told to end; its errors are those of ``run_gateway``."""
    settings = load_aaa(path)
    asyncio.run(_run_aaa(settings, ready_fd))


async def _run_aaa(settings: AaaSettings, ready_fd: int | None) -> None:
    store = Store(settings.common.state_dir)
    engine = build_aaa(settings, store)
    datapath = UdpPorts(settings.listen)
    driver = _driver(settings.common, "aaa", engine, datapath, store)
    await _serve(settings.common, driver, datapath, store, ready_fd)


async def _run_ue(settings: UeSettings, ready_fd: int | None) -> None:
    store = Store(settings.common.state_dir)
    engine = build_ue(settings, store)

    def on_access(access: Access | None) -> None:
        if access is None:
            driver.enter(engine.access_lost)
        else:
            driver.enter(lambda now: engine.access_ready(access, now))

    needs_dns = not (settings.dns_servers or settings.home_agents)
    datapath = UeDatapath(settings.interface, settings.common.device, settings.common.name, on_access, needs_dns)
    driver = _driver(settings.common, "ue", engine, datapath, store)
    await _serve(settings.common, driver, datapath, store, ready_fd)


async def _run_gateway(settings: GatewaySettings, ready_fd: int | None) -> None:
    store = Store(settings.common.state_dir)
    engine = build_gateway(settings, store)
    common = settings.common
    datapath = GatewayDatapath(
        common.device, settings.address, settings.ipv4_address, dict.fromkeys(_served(settings)), common.name
    )
    driver = _driver(common, "gateway", engine, datapath, store)
    with ExitStack() as undo:
        if engine.radius is not None:

            def deliver(datagram: AaaDatagram) -> None:
                driver.enter(lambda now: engine.receive_radius(datagram, now))

            driver.side = port = RadiusPort(engine.radius, deliver)
            undo.callback(port.close)
        await _serve(common, driver, datapath, store, ready_fd)


def _served(settings: GatewaySettings) -> Iterator[IPv6Network | IPv4Network]:
    """All that may be given out: the pools, and what single subscribers have for themselves."""
    for pools in settings.apns.values():
        yield pools.prefixes
        if pools.ipv4 is not None:
            yield pools.ipv4
    for subscription in settings.subscriptions.values():
        if subscription.prefix is not None:
            yield subscription.prefix
        if subscription.ipv4 is not None:
            yield IPv4Network(subscription.ipv4)


def _driver(
    common: Common, role: str, engine: AgentEngine[Unit], datapath: Datapath[Unit], store: Store
) -> Driver[Unit]:
    keylog = KeyLog(common.keylog) if common.keylog is not None else None
    return Driver(engine, datapath, Sinks(Journal(common.journal), store, keylog), common.name, role)


async def _serve(
    common: Common, driver: Driver[Unit], datapath: Datapath[Unit], store: Store, ready_fd: int | None
) -> None:
    sinks = driver.sinks
    control = ControlServer(common.control, driver.command)
    sinks.publish = control.publish
    with ExitStack() as undo:
        undo.callback(store.close)
        undo.callback(sinks.journal.close)
        driver.catch_signals()
        sinks.journal.write({"event": "agent_started", "name": common.name}, driver.now())
        await control.start()
        undo.callback(control.close)
        datapath.open(asyncio.get_running_loop(), driver.receive)
        undo.callback(datapath.close)
        _announce(common, ready_fd)
        await driver.run()
        sinks.journal.write({"event": "agent_stopped", "name": common.name}, driver.now())


def _announce(common: Common, ready_fd: int | None) -> None:
    """Tell whoever started us that the control socket listens and packets flow."""
    if ready_fd is None:
        return
    line = {"version": FORMAT_VERSION, "event": "ready", "name": common.name, "control": str(common.control.resolve())}
    os.write(ready_fd, json.dumps(line).encode() + b"\n")
    os.close(ready_fd)
