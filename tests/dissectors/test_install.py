# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip wireshark`: installs for the right user, touches nothing of somebody else's, removes exactly its own."""

from __future__ import annotations

import csv
import errno
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mn_dsmip.wireshark import main
from tests.dissectors.packets import forge, tshark

NOBODY = 65534


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of our own; no sudo, no display."""
    for name in ("SUDO_UID", "SUDO_GID", "XDG_CONFIG_HOME", "WIRESHARK_CONFIG_DIR", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def everything(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


def run(*words: str) -> int:
    return main(list(words))


def profile(home: Path) -> Path:
    return home / ".config/wireshark/profiles/DS-MIPv6"


def plugin(home: Path) -> Path:
    return home / ".local/lib/wireshark/plugins/dsmip.lua"


def test_install_status_uninstall(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status") == 0 and "not installed" in capsys.readouterr().out
    assert run("install") == 0
    assert plugin(home).is_file() and (plugin(home).parent / "dsmip/fields.lua").is_file()
    assert (profile(home) / "colorfilters").is_file()
    assert capsys.readouterr().out.startswith("installed ")
    assert run("status") == 0
    states = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert states == {"plugin", "profile", "current"}
    assert run("install") == 0  # again: the same
    assert run("uninstall") == 0
    assert everything(home) == set() and not profile(home).exists()
    assert run("uninstall") == 0 and "nothing is installed" in capsys.readouterr().out


def test_what_the_user_changed_stays(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("install")
    own = profile(home) / "colorfilters"
    own.write_text("@mine@ip@[0,0,0][1,1,1]\n")
    (profile(home) / "esp_sa").write_text('"IPv6","*","*","0x1","NULL","0x","NULL","0x"\n')
    capsys.readouterr()
    assert run("status") == 0 and f"changed  {own}" in capsys.readouterr().out
    assert run("install") == 0 and f"kept      {own}" in capsys.readouterr().out
    assert own.read_text().startswith("@mine@")
    assert run("uninstall") == 0 and f"kept    {own}" in capsys.readouterr().out
    assert {path.name for path in profile(home).iterdir()} == {".mn-dsmip.json", "colorfilters", "esp_sa"}
    assert run("status") == 0 and "not installed" in capsys.readouterr().out
    assert run("install") == 0 and f"kept      {own}" in capsys.readouterr().out  # known to be ours once
    assert own.read_text().startswith("@mine@") and run("uninstall") == 0
    own.unlink()
    capsys.readouterr()
    assert run("install") == 0 and "kept" not in capsys.readouterr().out
    assert run("uninstall") == 0
    assert {path.name for path in profile(home).iterdir()} == {"esp_sa"}


def test_a_profile_of_that_name_that_is_not_ours(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(home).mkdir(parents=True)
    (profile(home) / "colorfilters").write_text("@mine@ip@[0,0,0][1,1,1]\n")
    assert run("install") == 2
    assert "colorfilters is there already and is not ours: move it away" in capsys.readouterr().err
    assert everything(home) == {".config/wireshark/profiles/DS-MIPv6/colorfilters"}


def test_a_plugin_folder_elsewhere(home: Path) -> None:
    plugin(home).parent.parent.mkdir(parents=True)
    (home / "elsewhere").mkdir()
    plugin(home).parent.symlink_to(home / "elsewhere")
    assert run("install") == 0 and (home / "elsewhere/dsmip/fields.lua").is_file()
    assert run("uninstall") == 0 and everything(home) == set()


def test_links_to_the_clone_are_not_written_through(
    home: Path, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise `uninstall` would take the clone's own files away."""
    plugin(home).parent.mkdir(parents=True)
    (plugin(home).parent / "dsmip").symlink_to(clone / "dissectors/dsmip")
    assert run("install") == 2
    assert "remove that link, then install again" in capsys.readouterr().err
    assert not plugin(home).exists() and (clone / "dissectors/dsmip/fields.lua").is_file()


def test_something_else_stands_where_a_folder_belongs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".config").mkdir()
    (home / ".config/wireshark").write_text("")
    assert run("install") == 1
    told = capsys.readouterr().err
    assert told.startswith(f"mn-dsmip wireshark: {home}/.config/wireshark/profiles")
    assert told.endswith("; move away what stands there, then try again\n") and told.count("\n") == 1


def test_a_folder_that_may_not_be_written(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refused)  # root may write anywhere
    assert run("install") == 1
    told = capsys.readouterr().err
    assert told.endswith("/.local: Permission denied; chown or chmod it for yourself, then try again\n")


@pytest.mark.parametrize("value", [None, "", "relative"])
def test_without_a_home_the_system_is_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if value is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", value)
    assert run("status") == 0
    assert pwd.getpwuid(os.geteuid()).pw_dir + "/.config/wireshark" in capsys.readouterr().out


def test_a_plugin_of_that_name_that_is_not_ours(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin(home).parent.mkdir(parents=True)
    plugin(home).write_text("-- somebody else's\n")
    assert run("install") == 2
    assert f"{plugin(home)} is there already and is not ours" in capsys.readouterr().err
    assert everything(home) == {".local/lib/wireshark/plugins/dsmip.lua"}


def test_a_newer_release_replaces_an_older_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import hashlib
    import json

    run("install")
    manifest = profile(home) / ".mn-dsmip.json"
    content = json.loads(manifest.read_text())
    gone = plugin(home).parent / "dsmip/no_longer_ours.lua"
    for path in (plugin(home), gone):
        path.write_text("-- an older release\n")
        content["files"][str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(content))
    capsys.readouterr()
    assert run("status") == 0 and f"older    {plugin(home)}" in capsys.readouterr().out
    assert run("install") == 0
    assert "older release" not in plugin(home).read_text() and not gone.exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"files": 3}'])
def test_a_broken_record(home: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("install")
    (profile(home) / ".mn-dsmip.json").write_text(text)
    for command in ("install", "uninstall", "status"):
        assert run(command) == 2
        assert "cannot be read" in capsys.readouterr().err


def test_the_installed_plugin_works_and_twice_is_silent(home: Path, clone: Path) -> None:
    """Installed and given on the command line: one of them registers, and nobody complains."""
    run("install")
    capture = clone / "captures/initial-attach/trace.pcapng"
    arguments = ["tshark", "-n", "-r", str(capture), "-Y", "dsmip.session", "-T", "fields", "-e", "dsmip.session"]
    for extra in ([], ["-X", f"lua_script:{clone / 'dissectors/dsmip.lua'}"], ["-C", "DS-MIPv6"]):
        done = subprocess.run([*arguments, *extra], capture_output=True, text=True, check=False, timeout=60)
        told = [line for line in done.stderr.splitlines() if "dangerous" not in line and line.strip()]
        assert done.returncode == 0 and not told, done.stderr
        assert set(done.stdout.split()) == {"1"}


@pytest.mark.root
def test_under_sudo_it_is_for_the_user_who_called(tmp_path: Path, clone: Path) -> None:
    """Folders and files belong to that user, whose home is asked of the system, not of root's environment."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    program = (
        "import sys, pwd, os; entry = pwd.getpwuid; "
        f"pwd.getpwuid = lambda uid: type(entry(0))((*entry(uid)[:5], {str(tmp_path)!r}, entry(uid)[6])); "
        "from mn_dsmip.wireshark import main; sys.exit(main(['install']))"
    )
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    os.chown(tmp_path, NOBODY, NOBODY)
    environment = {**os.environ, "SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY), "HOME": "/root"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, cwd=clone,
                          check=False, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = list(tmp_path.rglob("*"))
    assert plugin(tmp_path) in written and profile(tmp_path) in written
    assert {path.lstat().st_uid for path in written} == {NOBODY}


def test_open_prints_the_command_where_there_is_no_display(
    home: Path, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = clone / "captures/initial-attach"
    assert run("open", str(case)) == 0
    first, command = capsys.readouterr().out.splitlines()
    assert first.startswith("there is no display here")
    words = shlex.split(command)
    assert words[:3] == ["wireshark", "-r", str(case / "trace.pcapng")]
    assert "-X" in words and "-C" not in words
    run("install")
    capsys.readouterr()
    assert run("open", str(case)) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[1])
    assert words[words.index("-C") + 1] == "DS-MIPv6" and "-X" not in words
    # The very same options decrypt in tshark.
    shown = subprocess.run(
        ["tshark", *words[1:], "-n", "-Y", "mipv6", "-T", "fields", "-e", "mip6.mhtype"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert shown.stdout.split() == ["5", "6"] * 3, shown.stderr


def test_open_something_that_is_not_there(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("open", str(home / "nothing")) == 2
    assert "there is no such capture, nor a run's folder of that name" in capsys.readouterr().err
    assert run("open", str(home)) == 2
    assert "not a run's folder, there is no trace.pcapng in it" in capsys.readouterr().err


def test_no_tshark(
    home: Path, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert run("install") == 2
    assert capsys.readouterr().err == (
        "mn-dsmip wireshark: tshark is missing: install it (Debian, Ubuntu: apt install tshark)\n"
    )
    assert run("open", str(clone / "captures/attach")) == 0  # for another machine
    first, command = capsys.readouterr().out.splitlines()
    assert first.endswith("this command opens it (without columns and colours: mn-dsmip wireshark install):")
    assert "lua_script:" in command


@pytest.mark.parametrize("status", [0, 1])
def test_open_tells_whether_wireshark_starts(
    home: Path, clone: Path, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = home / "bin/wireshark"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >"{home}/words"\nexit {status}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":4711")
    assert run("open", str(clone / "captures/attach")) == (2 if status else 0)
    told = capsys.readouterr()
    assert (told.err if status else told.out).startswith(
        "mn-dsmip wireshark: Wireshark did not start on the display :4711" if status else "Wireshark opens "
    )
    assert str(clone / "captures/attach/trace.pcapng") in (home / "words").read_text().splitlines()


def test_wrong_words(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("instal") == 2 and run() == 2
    assert "usage: mn-dsmip wireshark" in capsys.readouterr().err


def test_every_filter_of_the_profile_is_understood(tmp_path: Path, clone: Path) -> None:
    profile = clone / "dissectors" / "profile"
    colours = [line.split("@")[2] for line in (profile / "colorfilters").read_text().splitlines() if line[:1] == "@"]
    rows = csv.reader((profile / "dfilter_buttons").read_text().splitlines())
    buttons = [row[2] for row in rows if row[0] == "TRUE"]
    assert len(colours) >= 8
    assert len(buttons) >= 5
    capture = forge.write(tmp_path / "one.pcap", [forge.to_home_agent(forge.update())])
    for each in (*colours, *buttons):
        assert tshark.run(capture, "-Y", each).returncode == 0, each


def test_colours_of_severity_are_those_of_our_remarks_alone(clone: Path) -> None:
    """Not `_ws.expert.severity`: that would be any protocol's of the frame."""
    told = re.findall(r"^\| `(dsmip\.expert\.[\w.]+)` \| (\w+) \|", (clone / "dissectors/README.md").read_text(), re.M)
    lines = (clone / "dissectors/profile/colorfilters").read_text().splitlines()
    rules = {name: set(rule.split(" || ")) for name, rule in (line.split("@")[1:3] for line in lines if line[0] == "@")}
    for name, severity in (("DS-MIPv6 violation", "error"), ("DS-MIPv6 warning", "warn")):
        assert rules[name] == {expert for expert, of in told if of == severity}
    assert list(rules)[:2] == ["DS-MIPv6 violation", "DS-MIPv6 warning"]  # the first that fits colours


def test_screenshots_say_what_is_missing(tmp_path: Path, clone: Path) -> None:
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    made = subprocess.run(
        [tmp_path / "bash", clone / "scripts/screenshots"],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert made.returncode == 2
    line = made.stderr.removeprefix("screenshots: these packages are missing: apt install ")
    assert set(line.split()) == {"wireshark", "tshark", "xvfb", "xdotool", "imagemagick"}
