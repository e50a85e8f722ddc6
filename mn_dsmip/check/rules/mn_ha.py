# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about RFC 4285, which authenticates mobility messages by themselves: no IKE, no ESP."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

from mn_dsmip.check.model import Message
from mn_dsmip.check.numbers import FIRST_REJECTING_STATUS
from mn_dsmip.check.rules.rule import Check, check, rule, unseen
from mn_dsmip.check.session import Session

MN_HA, MN_AAA = 1, 2  # subtypes (RFC 4285 5.1, 5.2)
OPTION, OPTION_HEAD = 9, 3  # type, length, subtype
FIRST_SPI = 256  # those below are reserved (RFC 4285 5.1)
MAC = 12  # octets: the first 96 bits
NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
CLOSE_ENOUGH = 7.0  # seconds (RFC 4285 6)
ID_MISMATCH = 144


def _messages(session: Session) -> Iterator[Message]:
    for message in session.of("binding_update", "binding_acknowledgement"):
        if message.get("authentication_subtype") is not None:
            yield message


@rule("MNHA-MAC", "RFC 4285 5.1", "the authenticator is right")
def authenticator(session: Session) -> Iterator[Check]:
    """HMAC-SHA1 over care-of address, home address and the message up to the SPI, with its checksum set to zero."""
    for message in _messages(session):
        spi = message.number("authentication_spi")
        key = session.context.key(spi, message.text("mn_id"), message.text("home_address"))
        if message.number("authentication_subtype") != MN_HA:
            yield unseen("authenticators for the AAA server can be checked with its key only")
        elif key is None:
            yield unseen(f"no key for the mobility SPI {spi}")
        else:
            data = _covered(session, message)
            if data is None:
                yield unseen(
                    "not all that the authenticator covers was captured: the Binding Update, its addresses, its octets"
                )
                continue
            wanted = hmac.digest(key, data, hashlib.sha1)[:MAC].hex()
            found = message.text("authenticator")
            same = hmac.compare_digest(wanted.encode(), found.encode())
            yield check(message, "authenticator", "the one that the key gives", found, holds=same)


def _covered(session: Session, message: Message) -> bytes | None:
    """Care-of address, home address and Mobility Header up to the SPI."""
    update: Message | None = message
    if message.kind == "binding_acknowledgement":
        update = session.update_of(message)
    octets = bytes.fromhex(message.text("octets"))
    if update is None or not octets:
        return None
    care_of = update.text("alternate_care_of_address") or update.text("ipv4_care_of_address") or update.source
    end = _end_of_spi(octets, 12)
    if end is None:
        return None
    header = octets[:4] + bytes(2) + octets[6:end]
    try:
        return _packed(care_of) + _packed(message.text("home_address")) + header
    except ValueError:
        return None  # a message without a home address


def _packed(address: str) -> bytes:
    """IPv4 care-of addresses go in mapped into IPv6: RFC 4285 knows none."""
    parsed = ip_address(address)
    return parsed.packed if isinstance(parsed, IPv6Address) else bytes(10) + b"\xff\xff" + parsed.packed


def _end_of_spi(octets: bytes, at: int) -> int | None:
    """Where the SPI of the MN-HA option ends."""
    while at + OPTION_HEAD <= len(octets):
        if octets[at] == 0:
            at += 1
            continue
        if octets[at] == OPTION and octets[at + 2] == MN_HA:
            return at + OPTION_HEAD + 4
        at += 2 + octets[at + 1]
    return None


@rule("MNHA-LAST", "RFC 4285 5.1, 5.2", "authentication options come last")
def authentication_last(session: Session) -> Iterator[Check]:
    """What comes behind an authenticator is not protected by it."""
    for message in _messages(session):
        options = message.items("options")
        last = str(options[-1]) if options else "none"
        yield check(message, "options", "AUTHENTICATION at the end", last, holds=last == "AUTHENTICATION")


@rule("MNHA-SPI", "RFC 4285 5.1", "mobility SPIs below 256 are reserved")
def authentication_spi(session: Session) -> Iterator[Check]:
    """Only SPI 3 has a meaning there, for authenticators that the AAA server checks."""
    for message in _messages(session):
        if message.number("authentication_subtype") == MN_HA:
            spi = message.number("authentication_spi")
            yield check(message, "authentication_spi", f"at least {FIRST_SPI}", spi, holds=spi >= FIRST_SPI)


@rule("MNHA-ANSWER", "RFC 4285 5.1, 5.2", "an authenticated update gets an authenticated answer")
def authenticated_answer(session: Session) -> Iterator[Check]:
    """Otherwise anybody could accept or refuse in the home agent's place."""
    for update, answer in session.exchanges:
        if answer is not None and update.get("authentication_subtype") is not None:
            subtype = answer.get("authentication_subtype")
            yield check(answer, "authentication_subtype", MN_HA, subtype, holds=subtype == MN_HA)


@rule("MNHA-IDENTITY", "RFC 4285 4, RFC 4283 3", "an authenticated update names its mobile node")
def mobile_node_identifier(session: Session) -> Iterator[Check]:
    """The home agent finds the key by it."""
    for update in _messages(session):
        if update.kind == "binding_update":
            has = bool(update.get("mn_id"))
            yield check(update, "options", "with MN_ID", update.items("options"), holds=has)


@rule("MNHA-NO-K", "RFC 4285 4, RFC 6275 6.1.7", "without IKE there is no key management mobility")
def no_key_management(session: Session) -> Iterator[Check]:
    """The K flag promises that IKE moves along; there is none."""
    for message in _messages(session):
        flag = message.flag("key_management")
        yield check(message, "key_management", False, flag, holds=not flag)


@rule("MNHA-ECHO", "RFC 4285 6", "the home agent returns the timestamp")
def timestamp_echo(session: Session) -> Iterator[Check]:
    """The mobile node knows by it which of its updates is meant; with status 144 it learns the home agent's time."""
    for update, answer in session.exchanges:
        if answer is None or update.get("message_id") is None:
            continue
        sent, given = update.get("message_id"), answer.get("message_id")
        if answer.number("status") == ID_MISMATCH:
            yield check(answer, "message_id", "the home agent's time", given or "missing", holds=given is not None)
        else:
            yield check(answer, "message_id", sent, given, holds=sent == given)


@rule("MNHA-TIME", "RFC 4285 6", "timestamps grow, and are close to the time", severity="warning")
def timestamp_grows(session: Session) -> Iterator[Check]:
    """An older one is refused as a replay, and so is one far from the home agent's clock; here the capture's clock
    stands for that."""
    newest = 0
    for update in session.of("binding_update"):
        if update.get("message_id") is None:
            continue
        value = update.number("message_id")
        yield check(update, "message_id", f"later than {newest}", value, holds=value > newest)
        away = abs((value >> 32) - NTP_EPOCH - update.time)
        yield check(update, "message_id", f"within {CLOSE_ENOUGH:g} s", f"{away:.0f} s off", holds=away <= CLOSE_ENOUGH)
        newest = max(newest, value)


@rule("MNHA-REFUSED", "RFC 4285 5.1.1", "who cannot authenticate itself gives up", severity="warning")
def authentication_refused(session: Session) -> Iterator[Check]:
    """After status 146 the same key will not do better."""
    refused = False
    for message in session.of("binding_update", "binding_acknowledgement"):
        if message.kind == "binding_acknowledgement":
            refused = message.number("status") == ID_MISMATCH + 2 and message.number("status") >= FIRST_REJECTING_STATUS
        elif message.get("authentication_subtype") is not None:
            after = "after status 146" if refused else "allowed"
            yield check(message, "status", "no more updates after status 146", after, holds=not refused)
