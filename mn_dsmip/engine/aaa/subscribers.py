# SPDX-License-Identifier: GPL-2.0-or-later
"""The subscriber store as gateways and AAA servers use it: EAP servers, and what a subscriber may have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ...crypto.aka import AuthenticationCentre, Subscriber
from ...crypto.suites import Random
from ..ike.aka_aliases import ServerAliases, flavour_of
from ..ike.aka_server import AkaServer
from .front import Grant

if TYPE_CHECKING:
    from ..gateway_policy import Subscription


class SubscriberMethods:
    """Makes EAP servers; ``apns`` are those that a Called-Station-Id may name, others are not judged."""

    def __init__(
        self,
        subscriptions: Mapping[str, Subscription],
        apns: Collection[str],
        centre: AuthenticationCentre,
        random: Random,
        network_name: bytes,
        aliases: ServerAliases | None = None,
        protect_result: bool = False,
    ) -> None:
        self._subscriptions = subscriptions
        self._apns = apns
        self._centre = centre
        self._random = random
        self._network_name = network_name
        self._aliases = aliases
        self._protect_result = protect_result

    def method(self, identity: str) -> AkaServer:
        """An EAP server for who claims to be ``identity``."""
        return AkaServer(
            flavour_of(identity), identity, self._credentials, self._centre, self._random, self._network_name,
            aliases=self._aliases, protect_result=self._protect_result,
        )  # fmt: skip

    def _credentials(self, imsi: str) -> Subscriber | None:
        subscription = self._subscriptions.get(imsi)
        return subscription.credentials if subscription else None

    def authorise(self, imsi: str, identity: str, called_station: str) -> Grant | str:
        """What the subscriber gets, or why it gets nothing."""
        subscription = self._subscriptions[imsi]
        apn = called_station.lower()
        if subscription.barred:
            return f"subscriber {imsi} is barred"
        if apn in self._apns and apn not in subscription.apns:
            return f"subscriber {imsi} may not use APN {apn}"
        leading = flavour_of(identity).leading
        realm = identity.partition("@")[2]
        name = f"{leading}{imsi}@{realm}" if realm else f"{leading}{imsi}"
        return Grant(name, subscription.prefix, subscription.ipv4)
