# SPDX-License-Identifier: GPL-2.0-or-later
"""What a mobile node does about each status of a Binding Acknowledgement, as data."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Reaction(Enum):
    """The ways to go on after a Binding Acknowledgement."""

    USE = "use the binding"
    RETRY = "try again a few times, then fail"
    WAIT = "wait, then try again a few times, then fail"
    RESYNCHRONIZE = "continue from the home agent's sequence number"
    OTHER_ROUTER_FLAG = "repeat with the R flag that the home agent has on record"
    WITHOUT_ROUTER_FLAG = "another home agent, else without the R flag"
    NEW_HOME_ADDRESS = "form another home address, never this one again"
    NEW_CARE_OF_ADDRESS = "take another care-of address"
    REDISCOVER = "discover another home agent"
    REBOOTSTRAP = "obtain a new home prefix"
    FAIL = "give up"
    IGNORE = "ignore it: never valid for a home registration"


class Meaning(NamedTuple):
    """A status in words, the reaction to it, and where that is laid down."""

    reaction: Reaction
    sentence: str
    clause: str


_RFC_6275 = "RFC 6275 11.7.3"
_MCOA = Meaning(Reaction.FAIL, "the home agent refused multiple care-of addresses", "RFC 5648 4.4")
_RFC_4285 = "RFC 4285 5"

MEANINGS: dict[int, Meaning] = {
    0: Meaning(Reaction.USE, "the home agent accepted the binding", _RFC_6275),
    1: Meaning(Reaction.USE, "the home agent accepted the binding, the home prefix runs out", _RFC_6275),
    128: Meaning(Reaction.RETRY, "the home agent refused the binding without a reason", _RFC_6275),
    129: Meaning(Reaction.FAIL, "the home agent's administration prohibits the binding", _RFC_6275),
    130: Meaning(Reaction.WAIT, "the home agent lacks resources for the binding", _RFC_6275),
    131: Meaning(Reaction.REDISCOVER, "the node asked is not a home agent", _RFC_6275),
    132: Meaning(Reaction.REBOOTSTRAP, "the home address is not in a prefix that the home agent serves", _RFC_6275),
    133: Meaning(Reaction.REDISCOVER, "the home agent does not serve this mobile node", _RFC_6275),
    134: Meaning(Reaction.NEW_HOME_ADDRESS, "somebody else uses the home address", "RFC 5026 5.3.2"),
    135: Meaning(Reaction.RESYNCHRONIZE, "the home agent has seen a newer sequence number", _RFC_6275),
    136: Meaning(Reaction.IGNORE, "expired home nonce index", _RFC_6275),
    137: Meaning(Reaction.IGNORE, "expired care-of nonce index", _RFC_6275),
    138: Meaning(Reaction.IGNORE, "expired nonces", _RFC_6275),
    139: Meaning(Reaction.OTHER_ROUTER_FLAG, "the home agent has the binding as another type", "RFC 3963 6.2"),
    140: Meaning(Reaction.WITHOUT_ROUTER_FLAG, "the home agent does not serve whole prefixes", "RFC 3963 5.4.1"),
    141: Meaning(Reaction.FAIL, "the home agent found a prefix invalid that was never sent", "RFC 3963 5.4.1"),
    142: Meaning(Reaction.FAIL, "the home agent does not authorize a prefix that was never sent", "RFC 3963 5.4.1"),
    143: Meaning(Reaction.WITHOUT_ROUTER_FLAG, "the home agent cannot forward the whole prefix", "RFC 3963 5.4.1"),
    144: Meaning(Reaction.FAIL, "the home agent found the replay protection timestamp wrong", _RFC_4285),
    145: Meaning(Reaction.FAIL, "the home agent requires the replay protection option", _RFC_4285),
    146: Meaning(Reaction.FAIL, "the home agent could not authenticate the Binding Update", _RFC_4285),
    151: Meaning(Reaction.FAIL, "the subscriber is not authorized for this APN", "RFC 5149 4.1"),
    **dict.fromkeys(range(164, 170), _MCOA),
    174: Meaning(Reaction.NEW_CARE_OF_ADDRESS, "the home agent refused the care-of address", _RFC_6275),
}


def meaning_of(status: int) -> Meaning:
    """What ``status`` means; unassigned numbers below 128 accept, the others refuse (RFC 6275 6.1.8)."""
    known = MEANINGS.get(status)
    if known is not None:
        return known
    if status < 128:
        return MEANINGS[0]
    return Meaning(Reaction.FAIL, f"the home agent refused with the unknown status {status}", _RFC_6275)
