# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about IKE's exchanges and who proves what in which order (RFC 7296 1.2, 2.15, 2.16, TS 24.303 5.1.2.2)."""

from __future__ import annotations

from collections.abc import Iterator

from mn_dsmip.check.model import Message
from mn_dsmip.check.rules.rule import Check, check, rule
from mn_dsmip.check.session import Session, within

SIGNATURES = ("RSA", "ECDSA_256", "ECDSA_384", "ECDSA_521", "SIGNATURE")
INIT = ("SA", "KE", "Nonce")
CHILD = ("SA", "TSi", "TSr")
NONCE_SIZES = range(16, 257)  # octets
CFG_SIZES = {"MIP6_HOME_PREFIX": (21,), "HOME_AGENT_ADDRESS": (16, 20), "INTERNAL_IP6_ADDRESS": (17,)}
SINGLE = ("SA", "KE", "Nonce", "IDi", "IDr", "AUTH", "TSi", "TSr", "EAP", "CP", "SK")


def _attempts(session: Session) -> dict[str, list[Message]]:
    """The IKE_AUTH messages that can be read, by the SPI of their IKE SA; repetitions left out."""
    found: dict[str, list[Message]] = {}
    seen: set[str] = set()
    for message in session.of("ike_auth"):
        if not message.hidden and message.content not in seen:
            found.setdefault(message.text("spi_i"), []).append(message)
        seen |= {message.content} - {""}
    return found


def _uses_eap(messages: list[Message]) -> bool:
    return any("EAP" in one.items("payloads") for one in messages)


@rule("IKE-PAYLOADS", "RFC 7296 1.2, 1.3, 1.4", "each message has the payloads that it must have", sees="ike")
def required_payloads(session: Session) -> Iterator[Check]:
    """In whatever order: a receiver must not depend on it (RFC 7296 2.5)."""
    for message in session.messages:
        if not message.is_ike or message.hidden or message.items("errors"):
            continue
        needed = _needed(message)
        if needed:
            missing = tuple(one for one in needed if one not in message.items("payloads"))
            yield check(message, "payloads", f"with {', '.join(needed)}", missing or "all there", holds=not missing)


def _needed(message: Message) -> tuple[str, ...]:
    notify = set(message.items("notify"))
    if message.kind == "ike_sa_init":
        refused = message.flag("response") and notify & {"COOKIE", "REDIRECT"}
        return () if refused else INIT
    if message.kind == "ike_auth" and message.number("message_id") == 1:
        if message.flag("response"):
            return ("IDr",) if "EAP" in message.items("payloads") or "AUTH" in message.items("payloads") else ()
        return ("IDi", *CHILD)
    if message.kind == "create_child_sa":
        return ("SA", "Nonce", "KE") if message.get("sa_protocol") == "IKE" else (*CHILD, "Nonce")
    return ()


@rule("AUTH-EAP", "RFC 7296 2.16", "who wants EAP sends no AUTH at first", sees="ike")
def eap_begins_without_auth(session: Session) -> Iterator[Check]:
    """Leaving AUTH out of the first request is what asks for EAP."""
    for messages in _attempts(session).values():
        for message in messages:
            first = message.number("message_id") == 1 and message.flag("from_initiator")
            if first and _uses_eap(messages):
                has = "AUTH" in message.items("payloads")
                yield check(message, "payloads", "without AUTH", message.items("payloads"), holds=not has)


@rule("AUTH-HA", "RFC 7296 2.16, TS 33.402 9.2.2", "the home agent proves itself before EAP begins", sees="ike")
def home_agent_proves_itself(session: Session) -> Iterator[Check]:
    """By a signature with its certificate's key: otherwise the UE would run EAP-AKA with anybody."""
    for messages in _attempts(session).values():
        for message in messages:
            if message.flag("response") and message.number("message_id") == 1 and message.get("eap_code") == "request":
                method = message.get("auth_method")
                yield check(message, "auth_method", "a signature", method, holds=method in SIGNATURES)


@rule("AUTH-MSK", "RFC 7296 2.16, TS 33.402 9.2.2", "EAP's key authenticates both sides at the end", sees="ike")
def keyed_with_msk(session: Session) -> Iterator[Check]:
    """Both last AUTH payloads are made with the MSK; it ties EAP to this IKE SA."""
    for messages in _attempts(session).values():
        success = next((one for one in messages if one.get("eap_code") == "success"), None)
        for message in messages:
            if success and message.frame > success.frame and "AUTH" in message.items("payloads"):
                method = message.get("auth_method")
                yield check(message, "auth_method", "SHARED_KEY", method, holds=method == "SHARED_KEY")


@rule("EAP-METHOD", "TS 33.402 9.2.2, RFC 4187, RFC 9048", "the UE authenticates by EAP-AKA", sees="ike")
def eap_method(session: Session) -> Iterator[Check]:
    """Or EAP-AKA': the USIM knows no other."""
    for message in session.of("ike_auth"):
        kind = message.get("eap_type")
        if kind is not None:
            yield check(message, "eap_type", "AKA or AKA'", kind, holds=kind in ("AKA", "AKA'"))


@rule("EAP-FAILURE", "RFC 7296 2.16, 2.21.2", "an EAP failure ends the attempt", sees="ike")
def eap_failure(session: Session) -> Iterator[Check]:
    """EAP-Failure stands alone, without AUTHENTICATION_FAILED, and nothing but a new attempt follows."""
    failed: dict[str, Message] = {}
    for message in session.messages:
        spi = message.text("spi_i")
        if message.get("eap_code") == "failure":
            failed[spi] = message
            both = "AUTHENTICATION_FAILED" in message.items("notify")
            yield check(message, "notify", "no notification beside it", message.items("notify"), holds=not both)
        elif spi in failed and message.is_ike and message.kind != "informational":
            same = message.content == failed[spi].content
            later = message.number("message_id") > failed[spi].number("message_id")
            yield check(message, "spi_i", "another IKE SA", spi, holds=same or not later)


@rule("FAILED-NO-BU", "TS 24.303 5.1.2.2", "no registration after a failed authentication", sees="ike", whole=True)
def no_update_after_failure(session: Session) -> Iterator[Check]:
    """Without an IKE SA there is nothing to protect a Binding Update with."""
    attempts = [one.text("spi_i") for one in session.of("ike_sa_init")]
    last = [one for one in session.of("ike_auth") if attempts and one.text("spi_i") == attempts[-1]]
    failed = next((one for one in last if one.get("eap_code") == "failure" or _is_refusal(one)), None)
    if failed is None:
        return
    yield check(failed, "notify", "the end of the attempt", "reached", holds=True)
    for update in session.of("binding_update"):
        if update.frame > failed.frame:
            yield check(update, "frame", f"none after frame {failed.frame}", update.frame, holds=False)


def _is_refusal(message: Message) -> bool:
    return message.flag("response") and "AUTHENTICATION_FAILED" in message.items("notify")


@rule("UE-NAI", "TS 24.303 4.2, RFC 7296 3.5", "the UE's identity is a NAI", sees="ike")
def identity_is_nai(session: Session) -> Iterator[Check]:
    """Identity type ID_RFC822_ADDR, with a user name and the home operator's realm."""
    for message in session.of("ike_auth"):
        if message.get("id_i") is not None:
            name = message.text("id_i")
            fine = message.get("id_i_type") == "RFC822" and name.count("@") == 1
            yield check(message, "id_i", "a NAI", f"{message.get('id_i_type')} {name}", holds=fine)


@rule("APN-KEPT", "TS 23.402 6.3", "the home agent does not change the APN", sees="ike")
def apn_kept(session: Session) -> Iterator[Check]:
    """IDr of the answer is the APN that the UE asked for, or the default APN if it named none."""
    for messages in _attempts(session).values():
        asked = next((one.text("id_r") for one in messages if one.flag("from_initiator") and one.get("id_r")), "")
        for message in messages:
            if asked and message.flag("response") and message.get("id_r") is not None:
                yield check(message, "id_r", asked, message.get("id_r"), holds=message.get("id_r") == asked)


@rule("CONTACT", "RFC 7296 2.4, TS 24.303 4.3", "no INITIAL_CONTACT", severity="warning", sees="ike")
def initial_contact(session: Session) -> Iterator[Check]:
    """It claims to be the UE's only IKE SA; a home agent that believes it drops the UE's other PDN connections."""
    for message in session.of("ike_auth"):
        if message.flag("from_initiator"):
            sent = "INITIAL_CONTACT" in message.items("notify")
            yield check(message, "notify", "without INITIAL_CONTACT", message.items("notify"), holds=not sent)


@rule("SA-TYPES", "RFC 5846 6.1, RFC 4877 7.1", "the SA admits revocations", severity="warning", sees="ike mobility")
def selectors_admit_revocation(session: Session) -> Iterator[Check]:
    """Selectors of a single Mobility Header type keep revocations out, or make them travel unprotected."""
    if not any(session.of("binding_revocation")):
        return
    for message in session.of("create_child_sa"):
        if message.flag("response") and 135 in message.numbers("ts_i_protocols"):
            ports = [str(one) for one in message.items("ts_i_ports")]
            narrow = tuple(one for one in ports if one not in ("0-65535", "0..65535", "any", "65535-0"))
            yield check(message, "ts_i_ports", "every type", narrow or "every type", holds=not narrow)


@rule("IKE-ONCE", "RFC 7296 1.2, 2.16, 3.3", "a payload that stands alone stands there once", sees="ike")
def payloads_once(session: Session) -> Iterator[Check]:
    """With two of a kind the ends might look at different ones; only CERT, CERTREQ, N, D and V may be repeated."""
    for message in session.messages:
        if message.is_ike and not message.hidden:
            names = [one for one in message.items("payloads") if one in SINGLE]
            double = tuple(sorted({str(one) for one in names if names.count(one) > 1}))
            yield check(message, "payloads", "each once", double or "each once", holds=not double)


@rule("IKE-CHOICE", "RFC 7296 2.7", "the answer chooses out of the offer", sees="ike")
def answer_chooses(session: Session) -> Iterator[Check]:
    """One proposal, with algorithms that were offered: anything else is an attack on the weaker ones, or a fault."""
    for request, answer in _exchanges(session):
        offered, chosen = set(request.items("encryption")), answer.items("encryption")
        if offered and chosen:
            fine = len(chosen) == 1 and set(chosen) <= offered
            expected = f"one of {', '.join(sorted(map(str, offered)))}"
            yield check(answer, "encryption", expected, chosen, holds=fine)
        groups, group = set(request.items("dh_groups")), set(answer.items("dh_groups"))
        if groups and group:
            fine = len(group) == 1 and group <= groups
            yield check(answer, "dh_groups", "one that was offered", answer.items("dh_groups"), holds=fine)
            same = answer.get("dh_group") is None or answer.get("dh_group") in group
            yield check(answer, "dh_group", "the group that is chosen", answer.get("dh_group"), holds=same)


@rule("TS-NARROW", "RFC 7296 2.9", "selectors of an answer lie inside those asked for", sees="ike")
def selectors_narrowed(session: Session) -> Iterator[Check]:
    """The responder may take away, never add."""
    for request, answer in _exchanges(session):
        for name in ("ts_i", "ts_r"):
            asked, given = request.items(name), answer.items(name)
            if not asked or not given or answer.items("errors"):
                continue
            wider = tuple(one for one in given if not any(_covers(str(other), str(one)) for other in asked))
            yield check(answer, name, f"inside {', '.join(map(str, asked))}", wider or "inside", holds=not wider)
            wanted = set(request.items(f"{name}_protocols")) | {0}
            kinds = set(answer.items(f"{name}_protocols"))
            fine = kinds <= wanted or 0 in request.items(f"{name}_protocols")
            yield check(answer, f"{name}_protocols", "those asked for", tuple(kinds), holds=fine)


def _covers(outer: str, inner: str) -> bool:
    """Whether one selector lies inside another: both are an address, a prefix, or two addresses with a hyphen."""
    if inner == outer:
        return True
    network = inner.split("/")
    ends = inner.split("-") if "-" in inner else [network[0]]
    if len(network) > 1 and "/" in outer and int(network[1]) < int(outer.split("/")[1]):
        return False
    return all(within(end, outer) for end in ends)


def _exchanges(session: Session) -> Iterator[tuple[Message, Message]]:
    """Requests with SA or selectors and their answers; with EAP the last IKE_AUTH answers the first request."""
    asked: dict[tuple[str, int, bool, str], Message] = {}
    for message in session.messages:
        if not message.is_ike or message.hidden or message.get("sa_protocol") is None:
            continue
        number = 1 if message.kind == "ike_auth" else message.number("message_id")
        key = (message.text("spi_i"), number, message.flag("from_initiator"), message.kind)
        if not message.flag("response"):
            asked[key] = message
        elif (request := asked.get((key[0], number, not key[2], key[3]))) is not None:
            yield request, message


@rule("IKE-PORTS", "RFC 7296 2", "IKE requests go to port 500 or 4500")
def request_ports(session: Session) -> Iterator[Check]:
    """Where a NAT stands only the source port is another."""
    for message in session.messages:
        if message.is_ike and message.flag("from_initiator") and message.get("destination_port") is not None:
            port = message.number("destination_port")
            yield check(message, "destination_port", "500 or 4500", port, holds=port in (500, 4500))


@rule("IKE-NONCE", "RFC 7296 2.10, 3.9", "nonces have 16 to 256 octets", sees="ike")
def nonce_size(session: Session) -> Iterator[Check]:
    """Shorter ones can be guessed, and with them the keys."""
    for message in session.messages:
        if message.is_ike and message.get("nonce_size") is not None:
            size = message.number("nonce_size")
            yield check(message, "nonce_size", "16 to 256", size, holds=size in NONCE_SIZES)


@rule("CFG-SIZES", "RFC 5026 8.2, RFC 7296 3.15.1, TS 24.302 8.2.4.1", "attributes have their sizes", sees="ike")
def attribute_sizes(session: Session) -> Iterator[Check]:
    """An attribute of a request may be empty; a home prefix has 21 octets, a home agent's addresses 16 or 20."""
    for message in session.of("ike_auth"):
        for name, size in zip(message.items("cfg_attributes"), message.numbers("cfg_sizes"), strict=False):
            if name in CFG_SIZES:
                allowed = CFG_SIZES[str(name)] + ((0,) if message.get("cfg_type") == "request" else ())
                expected = f"{name} of {' or '.join(map(str, allowed))} octets"
                yield check(message, "cfg_sizes", expected, f"{size} octets", holds=size in allowed)


@rule("EAP-ID", "RFC 3748 4.1, 4.2", "an EAP response has the identifier of its request", sees="ike")
def eap_identifier(session: Session) -> Iterator[Check]:
    """And so has what ends the conversation, with the identifier of the last response."""
    for messages in _attempts(session).values():
        asked: int | None = None
        for message in messages:
            code, number = message.get("eap_code"), message.number("eap_id")
            if code == "request":
                asked = number
            elif code is not None and asked is not None:
                yield check(message, "eap_id", asked, number, holds=number == asked)
