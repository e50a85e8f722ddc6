# SPDX-License-Identifier: GPL-2.0-or-later
"""However a run ends: in good order where it can, and never leaving or touching anything."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.topologies.harness import Run, command, environment, isolated, run_mn

pytestmark = [pytest.mark.mininet, pytest.mark.root]

MARK = "TEST_MARK"  # a variable that everything a run starts inherits: that is how we find what is left of it
SECONDS = 60.0
LOOK_SECONDS = 0.05
NAMESPACE = [
    "unshare",
    "--net",
    "sh",
    "-c",
    'ip link set lo up; exec "$@"',
    "sh",
]  # no PID namespace: nothing ends by itself


@dataclass
class Session:
    """A running `mn` at a terminal."""

    process: subprocess.Popen[bytes]
    terminal: int
    mark: str
    runs: Path
    output: str = ""

    def read_until(self, words: str) -> None:
        """Read what it prints until these words come; its end, or a minute, fails the test."""
        deadline = time.monotonic() + SECONDS
        while words not in self.output:
            assert time.monotonic() < deadline, self.output
            self.output += os.read(self.terminal, 65536).decode(errors="replace")

    def read_prompt(self) -> None:
        """Read until the prompt waits: Python does not hear a signal between showing a prompt and waiting at it."""
        self.read_until("mininet>")
        while not self._waits():
            assert self.process.poll() is None

    def _waits(self) -> bool:
        before = self._processor_time()
        time.sleep(LOOK_SECONDS)
        return self._processor_time() == before

    def _processor_time(self) -> list[str]:
        """State, and ticks in user and kernel mode (proc_pid_stat(5))."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return [fields[0], *fields[11:13]]

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def await_end(self) -> int:
        """Read what it still says, then its exit status."""
        try:
            while data := os.read(self.terminal, 65536):
                self.output += data.decode(errors="replace")
        except OSError:  # the terminal's other end is closed
            pass
        return self.process.wait(SECONDS)

    def left(self) -> list[str]:
        """The command lines of the run's processes that still live; the empty list as soon as there is none."""
        deadline = time.monotonic() + SECONDS / 4
        while (found := _marked(self.mark)) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        return found

    def run(self) -> Run:
        return Run(self.process.wait(SECONDS), self.output, self.runs / "latest")


def _marked(mark: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it ended while we looked
            continue
    return found


@contextmanager
def session(runs: Path, topo: str, *options: str, standin: bool = True, **variables: str) -> Iterator[Session]:
    mark = uuid.uuid4().hex
    terminal, other = pty.openpty()
    process = subprocess.Popen(
        [*NAMESPACE, *command(topo, *options)],
        env=environment(runs, standin, **{MARK: mark, "TERM": "dumb", **variables}),
        cwd=runs,
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
        # The tests may run under nohup, and have no threads.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509
    )
    os.close(other)
    try:
        yield Session(process, terminal, mark, runs)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


@contextmanager
def links_beside(process: subprocess.Popen[bytes]) -> Iterator[list[str]]:
    """A list that is filled, at the end, with what is left in the network namespace of `process`.

    The kernel takes a dead namespace's links away when it comes to it: a few seconds are allowed.
    """
    left: list[str] = []
    with open(f"/proc/{process.pid}/ns/net", "rb") as namespace:
        yield left
        deadline = time.monotonic() + SECONDS / 4
        while len(found := _links_in(namespace.fileno())) > 1 and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        left += found


def _links_in(namespace: int) -> list[str]:
    command = ["nsenter", f"--net=/proc/self/fd/{namespace}", "ip", "-br", "link"]
    listing = subprocess.run(command, pass_fds=[namespace], capture_output=True, text=True, check=True)
    return [line.split()[0] for line in listing.stdout.splitlines()]


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_nothing_is_left_after_a_signal(tmp_path: Path, ending: signal.Signals) -> None:
    with session(tmp_path, "s2c") as mn:
        mn.read_prompt()
        assert any("standin.py ue" in line for line in _marked(mn.mark))
        with links_beside(mn.process) as links:
            mn.process.send_signal(ending)
            status = mn.await_end()
            assert mn.left() == []
        assert links == ["lo"]
        assert status == (-9 if ending is signal.SIGKILL else 128 + ending)
        assert mn.run().count("icmpv6.type == 134") >= 1  # the trace was closed all the same
        if ending is not signal.SIGKILL:
            assert mn.run().count("udp.port == 9") == 1
    assert [
        path.name for path in tmp_path.iterdir() if not path.name.startswith((".mininet_history", "20", "latest"))
    ] == []


def test_real_agents_do_not_outlive_a_killed_mn(tmp_path: Path) -> None:
    with session(tmp_path, "s2c", standin=False) as mn:
        mn.read_prompt()
        mn.type("dsmip attach ue1\r")
        mn.read_until("ATTACHED")
        assert len([line for line in _marked(mn.mark) if "-m mn_dsmip" in line]) == 2
        with links_beside(mn.process) as links:
            mn.process.kill()
            mn.await_end()
            assert mn.left() == []
        assert links == ["lo"]
        assert mn.run().count("mip6.mhtype == 6") == 1


def test_ctrl_c_at_the_prompt_does_not_leave_it_and_exit_does(tmp_path: Path) -> None:
    with session(tmp_path, "s2c") as mn:
        mn.read_prompt()
        mn.process.send_signal(signal.SIGINT)
        mn.read_until("Interrupt")
        mn.type("exit\r")
        assert mn.await_end() == 0
        assert mn.left() == []
        assert mn.run().count("udp.port == 9") == 1


def test_trace_follows_until_ctrl_c(tmp_path: Path) -> None:
    with session(tmp_path, "s2c") as mn:
        mn.read_prompt()
        mn.type("dsmip trace ue1\r")
        mn.read_until("Router Advertisement")
        (tmp_path / "latest/wireshark/esp_sa").write_text('"IPv6","*","*","0x1","NULL","","NULL",""\n')
        mn.read_until("new keys")
        mn.process.send_signal(signal.SIGINT)
        mn.type("dsmip nonsense\r")
        mn.read_until("usage: dsmip")
        mn.type("exit\r")
        assert mn.await_end() == 0
        assert mn.left() == []


def test_ctrl_c_during_a_start_stops_in_good_order(tmp_path: Path) -> None:
    with session(tmp_path, "s2c") as mn:
        mn.read_until("Starting ue1")
        mn.process.send_signal(signal.SIGINT)
        assert mn.await_end() == 130
        assert mn.left() == []
        assert "*** Done" in mn.output
        assert "Traceback" not in mn.output


def test_no_ending_cleans_up_by_name(tmp_path: Path) -> None:
    """Mininet's own clean-up runs killall and pkill: these in front of PATH would tell."""
    for name in ("killall", "pkill"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$0 $*" >>{tmp_path}/called\n')
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    with session(tmp_path, "s2c", PATH=path) as mn:
        mn.read_until("Starting ue1")
        mn.process.send_signal(signal.SIGINT)
        mn.await_end()
    assert run_mn(tmp_path, "s2c", standin=True, PATH=path, TEST_NEVER_READY="ue1").status == 1
    assert run_mn(tmp_path, "s2c", "--clean", standin=True, PATH=path).status == 0
    assert not (tmp_path / "called").exists()


def test_an_agent_that_does_not_start_ends_the_run_with_its_words(tmp_path: Path) -> None:
    run = run_mn(tmp_path, "s2c,ues=2", "--test", "none", standin=True, TEST_NEVER_READY="ue2")
    assert run.status == 1
    assert "ue2 was not ready: it ended with status 1; its last words: stand-in: no subscription for me" in run.output
    assert "*** Done" in run.output
    assert run.count("udp.port == 9") == 1


def test_a_failed_check_gives_status_1_after_an_orderly_stop(tmp_path: Path) -> None:
    run = run_mn(tmp_path, "s2c,ues=2,attach=no", "--test", "bootstrap", standin=True, TEST_REFUSES="ue2")
    assert run.status == 1
    assert "FAIL  ue2 attaches: the gateway refused us: no subscription" in run.lines("FAIL")
    assert len(run.lines("ok    ")) >= 3
    assert "*** Done" in run.output
    assert "Traceback" not in run.output


def test_an_agent_that_dies_is_told_at_the_prompt_and_at_the_end(tmp_path: Path) -> None:
    script = "py ue1.child.process.kill()\npy ue1.child.process.wait(5)\ndsmip\ndsmip attach ue1\n"
    run = run_mn(tmp_path, "s2c", standin=True, script=script)
    words = f"ue1: its agent ended with status -9; see {run.folder.resolve()}/journal/ue1.log"
    assert run.lines(f"ue1   {words}")
    assert words in run.lines("ue1: ")
    assert run.lines("*** ue1 ended with status -9")
    assert "*** Done" in run.output


def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    runs = [
        subprocess.Popen(
            isolated(command("s2c", "--test", "none")),
            env=environment(tmp_path, standin=True),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    assert [run.wait(SECONDS) for run in runs] == [0, 0]
    folders = [path for path in tmp_path.glob("*-s2c*") if path.is_dir()]
    assert len(folders) == 2
    for folder in folders:
        assert Run(0, "", folder).count("udp.port == 9") == 1
