# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages in the words of the standards: a name for the arrow, and in short what it carries."""

from __future__ import annotations

from collections.abc import Iterable

from mn_dsmip.check.flow.language import Step
from mn_dsmip.check.model import Message, Value

NAMES = {
    "router_advertisement": "Router Advertisement",
    "ike_sa_init": "IKE_SA_INIT",
    "ike_auth": "IKE_AUTH",
    "create_child_sa": "CREATE_CHILD_SA",
    "informational": "INFORMATIONAL",
    "ike_other": "IKE",
    "binding_update": "Binding Update",
    "binding_acknowledgement": "Binding Acknowledgement",
    "binding_refresh_request": "Binding Refresh Request",
    "binding_error": "Binding Error",
    "binding_revocation": "Binding Revocation",
    "home_agent_switch": "Home Agent Switch",
    "mobility": "Mobility Header",
    "home_agent_discovery": "Home Agent Address Discovery",
    "mobile_prefix": "Mobile Prefix",
    "keepalive": "NAT keepalive",
    "dhcpv6": "DHCPv6",
    "icmpv6_error": "ICMPv6 error",
    "esp": "ESP",
}
GROUPS = {"dns": "discovery", "dhcpv6": "discovery", "home_agent_discovery": "discovery", "mobile_prefix": "discovery"}
PAIRS = {"home_agent_discovery": ("Request", "Reply"), "mobile_prefix": ("Solicitation", "Advertisement")}
DATA = ("tunnelled", "plain", "keepalive")
FLAGS = {  # as RFC 6275 6.1.7, RFC 3963, RFC 5213, RFC 5555 and TS 24.303 abbreviate them
    "acknowledge": "A",
    "home_registration": "H",
    "link_local": "L",
    "key_management": "K",
    "map_registration": "M",
    "mobile_router": "R",
    "proxy": "P",
    "force_udp": "F",
    "tlv_header": "T",
    "overwrite": "O",
}
LONGEST = 160  # characters of what an arrow carries


def group(message: Message) -> str:
    """Which protocol it belongs to, for its colour: access, discovery, ike, mobility, data, error."""
    if message.is_ike or message.kind == "ike_other":
        return "ike"
    if message.is_mobility or message.kind == "esp":
        return "mobility"
    if message.kind == "icmpv6_error":
        return "error"
    return "data" if message.kind in DATA else GROUPS.get(message.kind, "access")


def name(message: Message) -> str:
    """What an arrow is called."""
    answer = message.flag("response")
    if message.kind == "dns":
        return f"DNS {'answer' if answer else 'query'} {message.text('type')}".rstrip()
    if message.is_ike:
        return f"{NAMES[message.kind]} {'response' if answer else 'request'}"
    if message.kind == "binding_update" and not message.hidden and not message.number("lifetime"):
        return "Binding Update (de-registration)"
    if message.kind in ("tunnelled", "plain"):
        return _data_name(message)
    if message.kind in PAIRS:
        return f"{NAMES[message.kind]} {PAIRS[message.kind][answer]}"
    if message.kind == "binding_revocation" and message.get("indication") is not None:
        return f"{NAMES[message.kind]} {'Indication' if message.flag('indication') else 'Acknowledgement'}"
    return NAMES.get(message.kind, message.kind.replace("_", " "))


def name_of_step(step: Step) -> str:
    """What the arrow of a message is called that a step looks for."""
    known = {one.field: value for one in step.where for test, value in one.tests if test == "is"}
    return name(Message(step.message, 0, 0.0, "", "", {"lifetime": 1, **known}))


def _data_name(message: Message) -> str:
    version = message.number("inner_version")
    what = message.text("icmp").replace("_", " ")
    if what and what != "other":
        what = f"ICMP{'' if version == 4 else 'v6'} {what}"
    elif message.text("tcp"):
        what = f"TCP {message.text('tcp').upper()}"
    else:
        what = f"protocol {message.number('protocol')}"
    return f"{what} in the tunnel" if message.kind == "tunnelled" else what


def gist(message: Message) -> str:
    """In short what a message carries; why, when that cannot be seen."""
    if message.hidden:
        return message.hidden
    short = "; ".join(one for one in _GISTS.get(message.kind, _addresses)(message) if one)
    return short if len(short) <= LONGEST else short[: LONGEST - 1] + "…"


def _router(message: Message) -> Iterable[str]:
    yield _listed("prefix", message.items("prefixes"))
    yield _listed("DNS", message.items("dns_servers"))


def _dns(message: Message) -> Iterable[str]:
    yield ", ".join(map(str, message.items("addresses"))) if message.flag("response") else message.text("name")
    if message.number("rcode"):
        yield f"rcode {message.number('rcode')}"


def _ike(message: Message) -> Iterable[str]:
    told = {"Notify", "EAP" if message.get("eap_code") else "", "Delete" if message.get("delete") else ""}
    yield ", ".join(dict.fromkeys(str(one) for one in message.items("payloads") if one not in told))
    code, kind, subtype = (message.text(f"eap_{one}") for one in ("code", "type", "subtype"))
    if code:
        yield "EAP " + " ".join(filter(None, (code, kind, subtype)))
    yield _listed("delete", (message.text("delete"),) if message.get("delete") else ())
    yield _listed("redirect to", _one(message.get("redirect_to") or None))
    yield _listed("home prefix", message.items("home_prefixes"))
    if message.kind == "create_child_sa":
        yield _listed("for", message.items("ts_i"))
    yield ", ".join(str(one) for one in message.items("notify") if not str(one).startswith("NAT_DETECTION"))
    if message.kind == "informational" and not message.items("payloads"):
        yield "empty"


def _update(message: Message) -> Iterable[str]:
    yield f"sequence {message.number('sequence')}, lifetime {message.number('lifetime')} s"
    yield flags(message)
    yield _listed("care-of", _one(message.get("ipv4_care_of_address") or message.get("alternate_care_of_address")))
    yield _listed("IPv4", _one(message.get("ipv4_home_address")))


def _acknowledgement(message: Message) -> Iterable[str]:
    yield f"status {message.number('status')}, sequence {message.number('sequence')}"
    yield f"lifetime {message.number('lifetime')} s"
    yield _listed("IPv4", _one(message.get("ipv4_home_address")))


def _inner(message: Message) -> Iterable[str]:
    yield f"{message.text('inner_source')} → {message.text('inner_destination')}"


def _dhcpv6(message: Message) -> Iterable[str]:
    yield _listed("message", _one(message.get("msg_type")))
    yield _listed("home network", _one(message.get("home_network_id")))
    yield _listed("home agent", message.items("home_agent_addresses"))
    yield _listed("home prefix", message.items("home_prefixes"))


def _discovery(message: Message) -> Iterable[str]:
    yield ", ".join(map(str, message.items("addresses")))
    yield _listed("prefix", message.items("prefixes"))


def _revocation(message: Message) -> Iterable[str]:
    yield f"sequence {message.number('sequence')}"
    name = "trigger" if message.flag("indication") else "status"
    yield _listed(name, _one(message.get(name)))


def _addresses(message: Message) -> Iterable[str]:
    yield f"{message.source} → {message.destination}"


def _esp(message: Message) -> Iterable[str]:
    yield f"SPI 0x{message.number('spi'):08x}, sequence {message.number('esp_sequence')}"


_GISTS = {
    "router_advertisement": _router,
    "dns": _dns,
    **dict.fromkeys(("ike_sa_init", "ike_auth", "create_child_sa", "informational"), _ike),
    "binding_update": _update,
    "binding_acknowledgement": _acknowledgement,
    "tunnelled": _inner,
    "esp": _esp,
    "dhcpv6": _dhcpv6,
    "home_agent_discovery": _discovery,
    "mobile_prefix": _discovery,
    "binding_revocation": _revocation,
}


def flags(message: Message) -> str:
    """The flags of a Binding Update or acknowledgement by their letters."""
    return " ".join(letter for field, letter in FLAGS.items() if message.flag(field))


def _listed(word: str, values: Iterable[Value]) -> str:
    told = ", ".join(map(str, values))
    return f"{word} {told}" if told else ""


def _one(value: Value | None) -> tuple[Value, ...]:
    return () if value is None else (value,)
