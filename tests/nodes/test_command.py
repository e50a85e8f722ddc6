# SPDX-License-Identifier: GPL-2.0-or-later
"""What stops `mn` before it begins: one line, status 2."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from mn_dsmip.nodes import SetupError, cleanup, machine, validate

OVS = ["--topo", "s2c"]
BRIDGE = [*OVS, "--switch", "lxbr", "--controller", "none"]


def options(**given: object) -> SimpleNamespace:
    return SimpleNamespace(**{"switch": "lxbr", "controller": ["none"], "innamespace": False, "cluster": None, **given})


def mn(folder: Path, *words: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    apart = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")  # mn's own cleanup kills by name
    line = [*apart, *prefix, "mn", "--custom", str(folder / "topos/s2c.py"), *words]
    return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("switch", ["default", "ovs", "ovsk", "ovs,protocols=OpenFlow13"])
def test_a_switch_that_would_wait_for_ever_is_refused(monkeypatch: pytest.MonkeyPatch, switch: str) -> None:
    monkeypatch.setattr(machine, "check", lambda: None)
    with pytest.raises(SystemExit) as end:
        validate(options(switch=switch))
    assert end.value.code == 2


@pytest.mark.parametrize("given", [{}, {"switch": "default", "controller": ["default"]}, {"switch": "ovsbr"}])
def test_switches_that_work_are_let_through(monkeypatch: pytest.MonkeyPatch, given: dict[str, object]) -> None:
    monkeypatch.setattr(machine, "check", lambda: None)
    validate(options(**given))


@pytest.mark.parametrize("given", [{"innamespace": True}, {"cluster": "a,b"}])
def test_options_that_move_nodes_elsewhere_are_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, object]
) -> None:
    monkeypatch.setattr(machine, "check", lambda: None)
    with pytest.raises(SystemExit):
        validate(options(**given))


def exits_like_mn(problem: BaseException) -> None:
    try:
        raise problem
    except BaseException:  # noqa: BLE001  # `mn` catches everything, and cleans up
        cleanup()


@pytest.mark.parametrize(("problem", "status"), [(KeyboardInterrupt(), 130), (ValueError("x"), 1)])
def test_cleanup_only_gives_mn_the_exit_status_that_it_lacks(problem: BaseException, status: int) -> None:
    with pytest.raises(SystemExit) as end:
        exits_like_mn(problem)
    assert end.value.code == status


def test_cleanup_alone_says_that_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    cleanup()
    assert "nothing to clean up" in capsys.readouterr().err


def test_a_missing_command_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "find_tool", lambda name: None if name == "dnsmasq" else f"/usr/sbin/{name}")
    with pytest.raises(SetupError, match=r"dnsmasq.*apt-get install dnsmasq-base"):
        machine.check()


def test_a_kernel_without_tun_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "TUN", tmp_path / "tun")
    with pytest.raises(SetupError, match="modprobe tun"):
        machine.check()


def test_agents_run_in_the_environment_that_we_are_part_of(clone: Path) -> None:
    assert machine.clone() == clone
    assert machine.interpreter() == clone / ".venv/bin/python"
    assert machine.runs_folder() == clone / "runs"


def test_installed_from_a_wheel_agents_run_in_its_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "env/lib/python3.11/site-packages/mn_dsmip"
    package.mkdir(parents=True)
    (tmp_path / "env/pyvenv.cfg").touch()
    monkeypatch.setattr(machine, "PACKAGE", package)
    monkeypatch.chdir(tmp_path)
    assert machine.interpreter() == tmp_path / "env/bin/python"
    assert machine.runs_folder() == tmp_path / "runs"


@pytest.mark.root
def test_mn_says_in_one_line_what_is_missing(clone: Path, tmp_path: Path) -> None:
    for part in ("mn_dsmip", "topos"):
        shutil.copytree(clone / part, tmp_path / part)
    shutil.copy(clone / "pyproject.toml", tmp_path)
    line = refused(mn(tmp_path, *BRIDGE))
    python = f"{tmp_path}/.venv/bin/python"
    assert line == f"mn-dsmip: the agents' Python is missing ({python}): run `sudo make demo` in {tmp_path} once"


@pytest.mark.root
def test_mn_without_root_is_refused_in_one_line(clone: Path) -> None:
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    with tempfile.TemporaryDirectory() as folder:  # the clone may be where nobody else can read
        os.chmod(folder, 0o755)
        for part in ("mn_dsmip", "topos"):
            shutil.copytree(clone / part, Path(folder) / part)
        assert "must run as root" in refused(mn(Path(folder), *BRIDGE, prefix=nobody))


@pytest.mark.root
def test_mn_refuses_at_once_where_it_would_wait_for_ever(clone: Path) -> None:
    begun = time.monotonic()
    assert "add `--switch lxbr`, or leave --controller out" in refused(mn(clone, *OVS, "--controller", "none"))
    assert time.monotonic() - begun < 10


@pytest.mark.root
def test_mn_refuses_wrong_parameters_in_one_line(clone: Path) -> None:
    assert "suite=best" in refused(mn(clone, "--topo", "s2c,suite=best", "--switch", "lxbr", "--controller", "none"))
