# SPDX-License-Identifier: GPL-2.0-or-later
"""A UE in a Mininet topology."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .agent import AgentHost
from .control import ANSWER_SECONDS
from .errors import NodeError
from .home_operator import Subscriber
from .host import Stage

if TYPE_CHECKING:
    from .network import Network


ATTACHED = "attached"
AT_REST = ("idle", "failed")
LOOK_SECONDS = 0.02  # between two looks at the state


class UE(AgentHost):
    """A UE that bootstraps over S2c on its first interface.

    `subscriber` is an IMSI (the run makes its keys) or a Subscriber with keys of its own; `attach` is `auto` or
    `manual`, `profile` `modern` or `legacy`, `lifetime` that of the binding in seconds. `config` takes a whole
    configuration file instead.
    """

    role = "ue"
    stage = Stage.UE
    static = False  # its care-of address comes from Router Advertisements

    def __init__(
        self,
        name: str,
        *,
        subscriber: str | Subscriber = "001010000000001",
        mnc_digits: int = 2,
        apn: str = "internet",
        attach: str = "auto",
        profile: str = "modern",
        lifetime: int = 3600,
        ipv4_home: bool = True,
        **params: Any,
    ) -> None:
        self.subscriber = Subscriber(subscriber, mnc_digits) if isinstance(subscriber, str) else subscriber
        self.apn = apn
        self.attach = attach
        self.profile = profile
        self.lifetime = lifetime
        self.ipv4_home = ipv4_home
        super().__init__(name, **params)

    def settings(self, net: Network) -> dict[str, Any]:
        return {
            "subscriber": net.operator.subscribers[self.subscriber.imsi].settings(),
            "apn": self.apn,
            "attach": self.attach,
            "ipv4": self.ipv4_home,
            "access": {"interface": str(self.defaultIntf())},
            "ike": {"profile": self.profile, "ca": "ca.pem"},
            "binding": {"lifetime": self.lifetime},
        }

    def ask(self, command: str, timeout: float = ANSWER_SECONDS) -> Any:
        """As every agent; `attach` waits for the access first, and is content with one that is under way or done."""
        if command == "attach" and self._await_attachable(time.monotonic() + timeout) == ATTACHED:
            return self.status()
        return super().ask(command, timeout)

    def _await_attachable(self, deadline: float) -> str:
        """The state once there is a care-of address and nothing is under way; NodeError when that takes too long."""
        while True:
            status = self.status()
            state = str(status["state"]).lower()
            if status.get("care_of_address") and state in (*AT_REST, ATTACHED):
                return state
            if time.monotonic() > deadline:
                missing = f"it is still {state}" if status.get("care_of_address") else "it has no care-of address"
                raise NodeError(f"{self.name} did not attach: {status.get('problem') or missing}")
            time.sleep(LOOK_SECONDS)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "imsi": self.subscriber.imsi, "apn": self.apn}

    def ipv6(self) -> str | None:
        """The home address while there is one: that is where others reach a UE."""
        return self._home("home_address")

    def ipv4(self) -> str | None:
        return self._home("ipv4_home_address")

    def _home(self, key: str) -> str | None:
        address = self.status().get(key)
        return None if address is None else str(address)
