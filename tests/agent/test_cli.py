# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: help, one clear line for whatever is wrong, exit statuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mn_dsmip
from mn_dsmip import cli
from tests.agent.files import Samples

COMMANDS = (
    "ue", "gateway", "status", "attach", "refresh", "detach", "rekey", "redirect", "events", "init", "certificate",
    "topo", "check",
)  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, output and errors of one command."""
    try:
        status = cli.main(words)
    except SystemExit as end:  # argparse
        status = int(end.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command says before it ends with status 2."""
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert err.startswith("mn-dsmip: ") and err.count("\n") == 1
    return err.removeprefix("mn-dsmip: ").rstrip("\n")


def test_help_names_every_command_and_gives_examples(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "--help")
    assert (status, err) == (0, "")
    for command in COMMANDS:
        assert f"\n    {command}" in out
    assert "sudo make demo" in out and "mn-dsmip init lab" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    status, out, err = run(capsys, command, "--help")
    assert (status, err) == (0, "") and out.startswith("usage: mn-dsmip")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"mn-dsmip {mn_dsmip.__version__}\n", "")


def test_a_subcommand_loads_nothing_that_it_does_not_need() -> None:
    script = (
        "import sys; from mn_dsmip import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('asyncio', 'cryptography', 'yaml', 'dns')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_init_and_check_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    status, out, _ = run(capsys, "init", str(folder))
    assert status == 0 and out.splitlines()[0] == f"{folder}/ue.yaml"
    for role in ("ue", "gateway"):
        config = f"{folder}/{role}.yaml"
        assert run(capsys, role, config, "--check-config") == (0, f"{config}: fine\n", "")
        other = {"ue": "gateway", "gateway": "ue"}[role]
        assert complaint(capsys, other, config, "--check-config") == (
            f"{config}:3: role: this file is for a {role}; start it with `mn-dsmip {role}`"
        )
    assert complaint(capsys, "init", str(folder)) == (
        f"{folder}/ue.yaml exists already: name another folder, or remove it"
    )
    (tmp_path / "file").write_text("")
    assert complaint(capsys, "init", f"{tmp_path}/file/bench") == f"{tmp_path}/file/bench: Not a directory"


def test_certificate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("certificate", str(tmp_path), "--out", "pgw")
    assert complaint(capsys, *words) == "certificate: at least one --name or --address is needed"
    assert run(capsys, *words, "--name", "pgw.example.net", "--address", "2001:db8::1") == (0, "", "")
    assert {path.name for path in tmp_path.iterdir()} == {"ca.pem", "ca.key", "pgw.pem", "pgw.key"}
    assert complaint(capsys, "certificate", str(tmp_path), "--out", "ca", "--name", "x").startswith("'ca' cannot name")


def test_topo(capsys: pytest.CaptureFixture[str], clone: Path) -> None:
    assert run(capsys, "topo", "s2c") == (0, f"{clone}/topos/s2c.py\n", "")
    assert complaint(capsys, "topo", "s2x").startswith("no topology is called 's2x'; there is: ")


@pytest.mark.parametrize(
    "command", ["status", "attach", "refresh", "detach", "rekey", "redirect pgw2.example.net", "events"]
)
def test_no_agent_answers(capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str) -> None:
    path = tmp_path / "none.sock"
    status, out, err = run(capsys, *command.split(), "--socket", str(path))
    assert (status, out) == (1, "")
    assert err == f"mn-dsmip: no agent answers at {path} (No such file or directory); is it running?\n"


def test_check_is_passed_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, err = run(capsys, "check", str(tmp_path / "none"))
    assert status == 2 and "none" in out + err


def test_a_python_that_is_too_old(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(sys, "version", "3.9.2 (default)")
    assert complaint(capsys, "--help") == "Python 3.10 or newer is needed, this is 3.9.2"


def test_a_configuration_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    assert complaint(capsys, "ue", str(path)) == f"{path}: cannot be read: No such file or directory"


def test_a_fault_of_ours_is_one_line_and_with_debug_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(words: list[str]) -> int:
        raise KeyError("oops")

    monkeypatch.setattr(cli, "_run", broken)
    monkeypatch.delenv("MN_DSMIP_DEBUG", raising=False)
    assert run(capsys, "topo", "s2c") == (
        1, "", "mn-dsmip: a fault in mn-dsmip itself: KeyError: 'oops' (MN_DSMIP_DEBUG=1 shows where)\n",
    )  # fmt: skip
    monkeypatch.setenv("MN_DSMIP_DEBUG", "1")
    with pytest.raises(KeyError):
        cli.main(["topo", "s2c"])


def test_ctrl_c_is_quiet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert run(capsys, "topo", "s2c") == (130, "", "")


def test_a_reader_that_went_away_is_no_error_message() -> None:
    receiver, sender = os.pipe()
    os.close(receiver)
    done = subprocess.run([sys.executable, "-m", "mn_dsmip", "topo", "s2c"], stdout=sender, stderr=subprocess.PIPE)
    os.close(sender)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.root
@pytest.mark.parametrize("role", ["ue", "gateway"])
def test_without_privileges_one_line_says_so(samples: Samples, role: str) -> None:
    samples.edit("ue.yaml", "interface: eth0", "interface: lo")
    config = str(samples.folder / f"{role}.yaml")
    done = subprocess.run(
        ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", sys.executable, "-m", "mn_dsmip", role, config],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mn-dsmip: an agent needs root (CAP_NET_ADMIN and CAP_NET_RAW): start it with sudo\n"


@pytest.mark.root
def test_an_interface_that_is_not_there(samples: Samples) -> None:
    samples.edit("ue.yaml", "interface: eth0", "interface: wlan7")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "mn_dsmip", "ue", str(samples.ue)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mn-dsmip: there is no interface wlan7 (`access: interface:`); there are lo\n"
