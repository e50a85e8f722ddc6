# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a first flow from a good session: it passes on the same capture, and a person goes on from there.

Every message of the session becomes a step. What belongs to this trace only (addresses, SPIs, numbers) is tied
together by variables; what the protocol says (flags, payloads, statuses) is expected as it was seen.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from mn_dsmip.check.flow.compare import Truth, compare, normal
from mn_dsmip.check.flow.traits import GROUP_OF, IGNORED, LISTS, NUMBERS, is_answer, name_of, role_of, telling, values
from mn_dsmip.check.model import Message, Value
from mn_dsmip.check.session import Session

MAX_STEPS = 200  # a flow is to be read by people
HEAD = """\
# A first draft, written from a capture.{more}
# It says what was seen, not what has to be. Before you use it: cite a clause for each step and for each field that
# matters, take out what is chance, mark what may be absent with `optional: true`, and forbid what must not happen.
version: 1
name: draft
title: {quoted}

"""
SAFE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*|\$\w+")
RESERVED = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
WHERE = ("response", "type", "msg_type", "icmp", "inner_version", "indication", "eap_code")  # tells messages apart


class Tie(NamedTuple):
    """A field that repeats an earlier one: by which comparison, and where that one stands."""

    operator: str
    place: int  # of the message
    field: str


def draft(session: Session) -> str:
    """A flow in YAML that this session passes."""
    return _Draft(session).written()


class _Draft:
    def __init__(self, session: Session) -> None:
        self.session = session
        told = telling(session)
        self.messages, self.left_out = told[:MAX_STEPS], len(told[MAX_STEPS:])
        self.roles: dict[str, str] = {}  # by address
        self.seen: dict[tuple[str, object], tuple[int, str]] = {}  # values by group: the first message with them
        self.prefixes: list[tuple[int, str]] = []
        self.ties: list[dict[str, Tie]] = []
        for index in range(len(self.messages)):
            self.ties.append(self._ties(index))
            self._remember(index)
        self.names = self._variables()

    # -- what is tied to what

    def _ties(self, index: int) -> dict[str, Tie]:
        message, found = self.messages[index], {}
        for field in ("source", "destination", *message.fields):
            tie = self._answered(index, field) if field in NUMBERS else self._repeated(index, field)
            if tie is not None:
                found[field] = tie
        asked, granted = found.get("sequence"), message.number("lifetime")
        if asked and granted and 0 < granted <= self.messages[asked.place].number("lifetime"):
            found["lifetime"] = Tie("le", asked.place, "lifetime")  # RFC 6275 10.3.1: not more than asked for
        return found

    def _answered(self, index: int, field: str) -> Tie | None:
        """The request that this message answers."""
        message = self.messages[index]
        if not is_answer(message):
            return None
        for earlier in range(index - 1, -1, -1):
            one = self.messages[earlier]
            if self._asks(one, message) and one.get(field) == message.get(field):
                return Tie("is", earlier, field)
        return None

    @staticmethod
    def _asks(request: Message, answer: Message) -> bool:
        if is_answer(request) or (request.source, request.destination) == (answer.source, answer.destination):
            return False
        kinds = {"binding_acknowledgement": "binding_update"}
        return request.kind == kinds.get(answer.kind, answer.kind)

    def _repeated(self, index: int, field: str) -> Tie | None:
        """The first message before that showed the same value, or a prefix of this address."""
        message = self.messages[index]
        group, value = _group(message, field), message.get(field)
        mine = values(value)
        if not group or not mine or value is None:
            return None
        places = [self.seen[group, normal(mine[0])]] if (group, normal(mine[0])) in self.seen else []
        for place, other in places + (self.prefixes if group == "address" else []):
            for operator in ("is", "one_of", "in_prefix"):
                if compare(operator, value, self.messages[place].get(other) or ()) is Truth.YES:
                    return Tie(operator, place, other)
        return None

    def _remember(self, index: int) -> None:
        """Later messages may be tied to this one."""
        message = self.messages[index]
        for field in ("source", "destination", *message.fields):
            group = _group(message, field)
            for one in values(message.get(field)) if group else ():
                if group == "prefix" and (group, normal(one)) not in self.seen:
                    self.prefixes.append((index, field))
                self.seen.setdefault((group, normal(one)), (index, field))

    def _variables(self) -> dict[tuple[int, str], str]:
        """A name for each field that a later one is tied to; a request's number is always the latest one."""
        wanted = sorted({(tie.place, tie.field) for ties in self.ties for tie in ties.values()})
        count: Counter[str] = Counter()
        names = {}
        for index, field in wanted:
            word = "care_of_address" if field == "source" else "home_agent" if field == "destination" else field
            count[word] += 1
            names[index, field] = word if count[word] == 1 else f"{word}_{count[word]}"
        return names

    # -- writing

    def written(self) -> str:
        steps = [line for index in range(len(self.messages)) for line in self._step(index)]
        title = f"session of {self.session.title}"
        more = f" The session goes on: {self.left_out} more messages." * bool(self.left_out)
        head = HEAD.format(more=more, quoted=json.dumps(title))
        roles = {"ue": "the mobile node", "ha": "its home agent"} | dict.fromkeys(
            self.roles.values(), "seen in the trace"
        )
        told = [f"  {name}: {title}" for name, title in roles.items()]
        return head + "\n".join(["roles:", *told, "", "steps:", *steps]) + "\n"

    def _step(self, index: int) -> Iterator[str]:
        message = self.messages[index]
        yield f"  - step: {self._name(index)}"
        seen = f"frame {message.frame}, {message.time - self.messages[0].time:.3f} s"
        hidden = f"; {message.hidden}" if message.hidden else ""
        yield f"    message: {message.kind}".ljust(40) + f"  # {seen}{hidden}"
        for key, address in (("from", message.source), ("to", message.destination)):
            role = self._role(message, address)
            if role:
                yield f"    {key}: {role}"
        if message.kind == "router_advertisement":
            yield "    optional: true"
        for key, told in (("where", self._where(index)), ("expect", self._expect(index)), ("bind", self._bind(index))):
            if told:
                yield f"    {key}:"
                yield from (f"      {name}: {value}" for name, value in told.items())

    def _name(self, index: int) -> str:
        name = name_of(self.messages[index])
        same = [number for number, one in enumerate(self.messages) if name_of(one) == name]
        return name if same[0] == index else f"{name}-{same.index(index) + 1}"

    def _role(self, message: Message, address: str) -> str:
        """Who it is; somebody else is named after what it sends, a group of addresses is nobody."""
        own = role_of(self.session, address)
        if own or message.kind == "tunnelled" or address.lower().startswith("ff") or address.startswith("fe80"):
            return own
        if address not in self.roles:
            word = {"router_advertisement": "router", "dns": "dns", "dhcpv6": "dhcp"}.get(message.kind, "peer")
            taken = sum(one.rstrip("0123456789-") == word for one in self.roles.values())
            self.roles[address] = f"{word}-{taken + 1}" if taken else word
        return self.roles[address]

    def _where(self, index: int) -> dict[str, str]:
        message = self.messages[index]
        found = {name: _scalar(value) for name in WHERE if (value := message.get(name)) is not None}
        if message.kind == "binding_update":
            found["lifetime"] = "{gt: 0}" if message.number("lifetime") else "0"
        for field in ("message_id", "id", "transaction_id", "icmp_id", "icmp_sequence"):
            if field in self.ties[index]:
                found[field] = self._variable(self.ties[index][field])
        return found

    def _expect(self, index: int) -> dict[str, str]:
        message, ties, where = self.messages[index], self.ties[index], self._where(index)
        found = {}
        for field, value in message.fields.items():
            if field in where or (field in IGNORED and field not in ties):
                continue
            if field in ties:
                more = "gt: 0, " if field == "lifetime" else ""
                found[field] = self._tied(ties[field], more)
            elif field == "lifetime":
                found[field] = "{gt: 0}" if value else "0"
            elif field not in NUMBERS and field not in GROUP_OF:
                found[field] = _literal(field, value)
        for field in ("source", "destination"):
            if field in ties:
                found[field] = self._tied(ties[field])
        return found

    def _tied(self, tie: Tie, more: str = "") -> str:
        variable = self._variable(tie)
        return variable if tie.operator == "is" else f"{{{more}{tie.operator}: {variable}}}"

    def _variable(self, tie: Tie) -> str:
        return f"${self.names[tie.place, tie.field]}"

    def _bind(self, index: int) -> dict[str, str]:
        return {name: field for (at, field), name in self.names.items() if at == index}


def _group(message: Message, field: str) -> str:
    """What a field's values can be tied to; of the ends only those of IKE's first message."""
    if field in ("source", "destination"):
        return "address" if message.kind == "ike_sa_init" and not message.flag("response") else ""
    return GROUP_OF.get(field, "")


def _literal(field: str, value: Value) -> str:
    if not isinstance(value, tuple):
        return _scalar(value)
    if field in LISTS and value:
        return f"{{contains: [{', '.join(_scalar(one) for one in dict.fromkeys(value))}]}}"
    if not value:
        return "{count: 0}"
    return f"[{', '.join(_scalar(one) for one in value)}]"


def _scalar(value: Value) -> str:
    """A value as YAML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    return text if SAFE.fullmatch(text) and text.lower() not in RESERVED else json.dumps(text)
