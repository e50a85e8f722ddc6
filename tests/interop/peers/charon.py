# SPDX-License-Identifier: GPL-2.0-or-later
"""strongSwan's daemon in a namespace of the test's, driven over VICI; its log gives away all keys."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import vici

from tests.agent.datapath_network import Namespace

from .keys import EspKeys, SaKeys

DAEMON = "/usr/sbin/charon-systemd"
PATIENCE = 20.0
PLUGINS = (
    "random nonce aes sha1 sha2 md5 hmac kdf gcm cmac ctr ccm openssl curve25519 gmp x509 pubkey pem pkcs1 pkcs8"
    " constraints revocation fips-prf drbg {kernel} socket-default vici updown eap-identity eap-aka eap-radius attr"
)
_HEX_DUMP = re.compile(r"^ +\d+: ((?:[0-9A-F]{2} )+)")
_IKE_KEY = re.compile(r"^Sk_(d|ai|ar|ei|er|pi|pr) secret => ")
_CHILD_KEY = re.compile(r"^(encryption|integrity) (initiator|responder) key => ")
_CHILD_SPI = re.compile(r"^  SPI 0x([0-9a-f]+), ")
Settings = dict[str, Any]


class Charon:
    """One daemon. ``settings`` are merged into its `strongswan.conf`; ``shim``: the kernel's refusal of ESP is hidden;
    ``libipsec``: user traffic goes through its own ESP in user space, always in UDP; ``quiet``: no keys in the log,
    which costs time."""

    def __init__(
        self,
        namespace: Namespace,
        folder: Path,
        name: str = "charon",
        *,
        shim: bool = False,
        libipsec: bool = False,
        settings: Settings | None = None,
        quiet: bool = False,
    ) -> None:
        self.namespace, self.name = namespace, name
        self._folder = folder / name
        self._folder.mkdir(parents=True)
        self.socket = self._folder / "vici"
        self._log = self._folder / "log"
        self._pool = ThreadPoolExecutor(8, thread_name_prefix=name)
        environment = dict(os.environ, STRONGSWAN_CONF=str(self._folder / "strongswan.conf"))
        if shim:
            environment["LD_PRELOAD"] = str(build_shim(self._folder))
        kernel = "kernel-libipsec kernel-netlink" if libipsec else "kernel-netlink"
        (self._folder / "strongswan.conf").write_text(self._configuration(kernel, settings or {}, quiet))
        with namespace, (self._folder / "out").open("wb") as output:
            self.process = subprocess.Popen(
                [DAEMON], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        self._await(lambda: self.socket.exists() and self._answers(), "no answer on its socket")

    def _configuration(self, kernel: str, settings: Settings, quiet: bool) -> str:
        levels: Settings = {"default": 1, "ike": 4, "chd": 4, "cfg": 2, "enc": 1, "knl": 1, "esp": 1, "net": 1}
        levels = dict.fromkeys(levels, 0) if quiet else levels
        usual: Settings = {
            "load": PLUGINS.format(kernel=kernel),
            "retransmit_tries": 3,
            "retransmit_timeout": 1.0,
            "plugins": {
                "vici": {"socket": f"unix://{self.socket}"},
                "kernel-libipsec": {"allow_peer_ts": "yes"},
                # its own packets carry a mark, so that its routes for user traffic leave them alone
                # with the shim no SA follows an SPI: once the kernel forgets that, the child SA counts as expired
                "kernel-netlink": {"fwmark": "!0x42", "xfrm_acq_expires": 600},
                "socket-default": {"fwmark": "0x42"},
            },
            "filelog": {"test": {"path": self._log, "append": "no", "flush_line": "yes", "time_format": "%H:%M:%S"}
                        | levels},
        }  # fmt: skip
        return "charon-systemd {\n" + "\n".join(_lines(_merged(usual, settings), 1)) + "\n}\n"

    def _answers(self) -> bool:
        with suppress(OSError), self.session() as session:
            session.version()
            return True
        return False

    def _await(self, condition: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: {problem}\n{(self._folder / 'out').read_text()}\n{self.log()}")
            time.sleep(0.01)  # a poll of a condition that has its limit

    # --- what it knows

    @contextmanager
    def session(self) -> Iterator[vici.Session]:
        """A VICI session of one's own; a long command blocks only its own."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(self.socket))  # before there is a time limit: it waits while the queue is full
            connection.settimeout(PATIENCE * 3)
            yield vici.Session(connection)

    def load_conn(self, name: str, **connection: Any) -> None:
        """A connection, in the words of `swanctl.conf`; ``_`` in keys of children stays."""
        with self.session() as session:
            session.load_conn({name: {"version": "2", **connection}})

    def load_psk(self, secret: bytes, *owners: str) -> None:
        """A pre-shared key for those identities; for all when there are none."""
        with self.session() as session:
            session.load_shared({"type": "IKE", "data": secret, "owners": list(owners)})

    def load_pool(self, name: str, **pool: Any) -> None:
        """Addresses to give out. An attribute whose name is a number takes raw octets."""
        with self.session() as session:
            session.load_pool({name: pool})

    def load_certificate(self, der: bytes, authority: bool = False) -> None:
        """Its own certificate, one in between, or an authority that it trusts."""
        with self.session() as session:
            session.load_cert({"type": "X509", "flag": "CA" if authority else "NONE", "data": der})

    def load_key(self, der: bytes) -> None:
        """The private key of its certificate, PKCS #8 or the type's own form."""
        with self.session() as session:
            session.load_key({"type": "any", "data": der})

    # --- what it does

    def begin(self, command: str, **arguments: Any) -> Future[list[str]]:
        """Have it carry out a VICI command while our own end runs; the future holds what it said, or its exception."""
        return self._pool.submit(self._command, command, arguments)

    def _command(self, command: str, arguments: Settings) -> list[str]:
        with self.session() as session:
            answers = getattr(session, command)({key: str(value) for key, value in arguments.items()})
            if isinstance(answers, dict) or answers is None:
                return [repr(answers)]
            return [_text(each.get("msg", each)) for each in answers]

    def initiate(self, child: str | None = None, ike: str | None = None, seconds: float = 15) -> Future[list[str]]:
        """Set up a child SA and whatever it needs."""
        names = {"child": child, "ike": ike}
        return self.begin("initiate", timeout=int(seconds * 1000), loglevel=1, **{k: v for k, v in names.items() if v})

    def rekey(self, **which: str) -> Future[list[str]]:
        """New keys for ``ike="name"`` or ``child="name"``; it only begins."""
        return self.begin("rekey", **which)

    def terminate(self, **which: str) -> Future[list[str]]:
        """Close ``ike="name"`` or ``child="name"``."""
        return self.begin("terminate", timeout=15_000, loglevel=1, **which)

    def redirect(self, ike: str, gateway: str) -> Future[list[str]]:
        """Send the peer to another gateway (RFC 5685)."""
        return self.begin("redirect", ike=ike, gateway=gateway)

    def sas(self) -> list[Settings]:
        """All IKE SAs as VICI lists them, text instead of octets; each has its name under "name"."""
        with self.session() as session:
            return [{"name": name, **_texts(content)} for each in session.list_sas() for name, content in each.items()]

    def stop(self) -> None:
        """Let it fall silent, as if it had died; ``go_on`` wakes it."""
        self.process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")
        self._await(lambda: all(_state(each) == "T" for each in tasks.iterdir()), "does not stop")

    def go_on(self) -> None:
        """After ``stop``."""
        self.process.send_signal(signal.SIGCONT)

    # --- what it said

    def log(self) -> str:
        """All so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def await_log(self, pattern: str, count: int = 1, seconds: float = PATIENCE) -> re.Match[str]:
        """Its line number ``count`` that holds ``pattern``, as soon as it is there; our own end does not run."""
        deadline = time.monotonic() + seconds
        while len(found := list(re.finditer(pattern, self.log()))) < count:
            assert time.monotonic() < deadline, f"{self.name} did not say {pattern!r}:\n{self.tail()}"
            time.sleep(0.01)  # a poll of a condition that has its limit
        return found[count - 1]

    def said(self, pattern: str) -> bool:
        """Whether its log holds ``pattern``."""
        return re.search(pattern, self.log()) is not None

    def tail(self, count: int = 60) -> str:
        """The log's end without the octets, for a failing test's message."""
        lines = [line for line in self.log().splitlines() if not re.search(r"\] +\d+: [0-9A-F]{2} ", line)]
        return "\n".join(lines[-count:])

    def ike_keys(self) -> list[SaKeys]:
        """Of all IKE SAs, in the order of their making."""
        return self._keys()[0]

    def child_keys(self) -> list[EspKeys]:
        """Of all child SAs that it installed, in the order of their making."""
        return self._keys()[1]

    def _keys(self) -> tuple[list[SaKeys], list[EspKeys]]:
        """From its log, thread by thread: a line names a key, hex dumps follow; a child SA's SPIs come last."""
        ikes: list[SaKeys] = []
        children: list[EspKeys] = []
        threads: dict[str, _Reading] = defaultdict(_Reading)
        for line in self.log().splitlines():
            found = re.match(r"(?:\S+ )?(\d+)\[(?:IKE|CHD)\] (.*)", line)
            if found:
                threads[found[1]].take(found[2], ikes, children)
        for each in threads.values():
            each.take("", ikes, children)
        return ikes, children

    def close(self) -> None:
        """End it, if need be by force."""
        self.go_on()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._pool.shutdown(wait=True, cancel_futures=True)


class _Reading:
    """What one thread's log has told of keys."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._found: dict[str, bytes] = {}
        self._spis: list[bytes] = []

    def take(self, text: str, ikes: list[SaKeys], children: list[EspKeys]) -> None:
        dump = _HEX_DUMP.match(text)
        if dump:
            if self._name:
                self._found[self._name] += bytes.fromhex(dump[1])
            return
        if self._name == "pr":
            ikes.append(SaKeys(*(self._found.pop(each, b"") for each in SaKeys._fields)))
        self._name = None
        if found := _IKE_KEY.match(text):
            self._name = found[1]
        elif found := _CHILD_KEY.match(text):
            self._name = f"{found[1]} {found[2]}"
        elif (found := _CHILD_SPI.match(text)) and self._found:  # without keys before it: an SA of which we know
            self._spis.append(bytes.fromhex(found[1].zfill(8)))
            self._install(children)
        if self._name:
            self._found[self._name] = b""

    def _install(self, children: list[EspKeys]) -> None:
        if len(self._spis) < 2:
            return
        pairs = [
            (self._found.pop(f"encryption {end}", b""), self._found.pop(f"integrity {end}", b""))
            for end in ("initiator", "responder")
        ]
        children.append(EspKeys(frozenset(self._spis), frozenset(pairs)))
        self._spis = []


def _state(task: Path) -> str:
    """A thread's state: the letter after its name."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def build_shim(folder: Path) -> Path:
    """The preloaded library for kernels without ESP: SA operations seem to succeed."""
    library = folder / "xfrm_ok.so"
    source = Path(__file__).with_name("xfrm_ok.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, timeout=60)
    return library


def _merged(one: Settings, other: Settings) -> Settings:
    both = dict(one)
    for key, value in other.items():
        both[key] = _merged(both.get(key, {}), value) if isinstance(value, dict) else value
    return both


def _lines(settings: Settings, depth: int) -> Iterator[str]:
    indent = "    " * depth
    for key, value in settings.items():
        if isinstance(value, dict):
            yield f"{indent}{key} {{"
            yield from _lines(value, depth + 1)
            yield f"{indent}}}"
        else:
            yield f"{indent}{key} = {value}"


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _texts(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_texts(each) for each in value]
    return _text(value)
