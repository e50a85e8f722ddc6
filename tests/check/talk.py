# SPDX-License-Identifier: GPL-2.0-or-later
"""UEs that say what agents would, as messages: for tests of what stands behind tshark."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from mn_dsmip.check.model import Message

HA, HA4, CN = "2001:db8:aaaa::1", "192.0.2.1", "2001:db8:c::80"
Fields = dict[str, Any]  # Any: mypy takes a dictionary's values for those of every argument
NAT = "203.0.113.7"


@dataclass
class Trace:
    """Messages one after the other, a hundredth of a second apart."""

    messages: list[Message] = field(default_factory=list)
    now: float = 1000.0

    def add(self, kind: str, source: str, destination: str, **fields: Any) -> Message:  # Any: see Fields
        hidden = str(fields.pop("hidden", ""))
        self.now += 0.01
        frame = len(self.messages) + 1
        content = f"{frame}" if kind.startswith(("ike", "binding")) else ""
        self.messages.append(Message(kind, frame, self.now, source, destination, fields, hidden, content))
        return self.messages[-1]


@dataclass
class Ue:
    """A UE with one PDN connection: says what an agent would send."""

    trace: Trace
    number: int
    care_of: str = ""
    home_agent: str = HA
    port: int = 500
    apn: str = "internet"
    name: str = ""
    sequence: count[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.care_of = self.care_of or f"2001:db8:f:1::{self.number:x}"
        self.prefix = f"2001:db8:100:{self.number:x}::/64"
        self.home = self.prefix.replace("::/64", "::1")
        self.name = self.name or f"ue{self.number}@example"
        self.spis = (f"{self.number:016x}", f"{self.number + (1 << 32):016x}")
        self.esp = (0x1000 + self.number, 0x200000 + self.number)

    def ike(self, kind: str, *, response: bool = False, **fields: Any) -> Message:
        first, second = self.spis
        if kind == "ike_sa_init" and not response:
            second = "0" * 16
        source, destination, ports = self.care_of, self.home_agent, (self.port, 500)
        if response:
            source, destination, ports = destination, source, (500, self.port)
        own: Fields = {"spi_i": first, "spi_r": second, "response": response}
        own |= {"from_initiator": not response, "source_port": ports[0], "destination_port": ports[1]}
        own |= {"encrypted": kind != "ike_sa_init"}
        return self.trace.add(kind, source, destination, **own, **fields)

    def attach(self) -> None:
        self.secure()
        self.bind()

    def secure(self) -> None:
        self.ike("ike_sa_init")
        self.ike("ike_sa_init", response=True)
        self.ike("ike_auth", id_i=self.name, id_r=self.apn, sa_protocol="ESP", spis=(self.esp[0],))
        self.ike(
            "ike_auth",
            response=True,
            cfg_type="reply",
            home_prefixes=(self.prefix,),
            sa_protocol="ESP",
            spis=(self.esp[1],),
            auth_method="SHARED_KEY",
        )

    def bind(self, lifetime: int = 100, **fields: Any) -> None:
        number = next(self.sequence)
        common: Fields = {"home_address": self.home, "sequence": number, "protected": True}
        common |= {"udp": ":" not in self.care_of, "lifetime": lifetime, **fields}
        up, down = (self.care_of, self.home_agent), (self.home_agent, self.care_of)
        option = ":" in self.care_of
        self.trace.add(
            "binding_update", *up, **common, home_address_option=option, spi=self.esp[1], end_source=self.home
        )
        self.trace.add("binding_acknowledgement", *down, **common, status=0, spi=self.esp[0], end_destination=self.home)

    def data(self, times: int = 1, **fields: Any) -> None:
        for _ in range(times):
            inner: Fields = {"inner_source": self.home, "inner_destination": CN, "inner_version": 6}
            self.trace.add("tunnelled", self.care_of, self.home_agent, **(inner | fields))

    def detach(self) -> None:
        self.bind(lifetime=0)
        self.ike("informational", delete="IKE")
        self.ike("informational", response=True)
