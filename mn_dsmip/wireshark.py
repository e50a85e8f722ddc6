# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip wireshark`: the dissector and a profile into a user's personal Wireshark folders, and a run opened.

What was installed is written down with its digests, so that an update replaces and `uninstall` removes exactly that:
a file that somebody changed since, or that was there before, is never touched.
"""

from __future__ import annotations

import argparse
import csv
import errno
import hashlib
import json
import os
import pwd
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import __version__
from .resources import ResourceError, dissector

PROFILE = "DS-MIPv6"
KEPT_BY_WIRESHARK = "recent"
"""A profile's file with widths of columns and panes, which Wireshark writes anew whenever it closes."""
MANIFEST = ".mn-dsmip.json"  # in the profile's folder
TRACE, KEYS = "trace.pcapng", "wireshark"
KEY_TABLES = {"ikev2_decryption_table": 8, "esp_sa": 8}  # columns
DECODING = ("esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE")
ASK_TIMEOUT = 30.0  # seconds
START_TIME = 1.5  # seconds in which a Wireshark without a display has ended
FAILURE, UNUSABLE = 1, 2


class Problem(Exception):
    """Something the user can mend; the message is one line."""


class NoTshark(Problem):
    """There is no tshark to ask."""


@dataclass(frozen=True)
class User:
    """For whom things are installed: under sudo the user who called it."""

    uid: int
    gid: int
    home: Path

    @classmethod
    def current(cls) -> User:
        """The invoking user."""
        called = os.environ.get("SUDO_UID", "")
        uid = int(called) if os.geteuid() == 0 and called.isdecimal() else os.geteuid()
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            raise Problem(f"there is no user with the number {uid}") from None
        home = os.environ.get("HOME", "")
        own = uid == os.geteuid() and os.path.isabs(home)
        return cls(uid, entry.pw_gid, Path(home if own else entry.pw_dir))

    @property
    def is_other(self) -> bool:
        return self.uid != os.geteuid()

    @property
    def other_uid(self) -> int | None:
        """For programs that are to run as that user and not as ourselves."""
        return self.uid if self.is_other else None

    @property
    def other_gid(self) -> int | None:
        return self.gid if self.is_other else None

    def environment(self) -> dict[str, str]:
        """What programs of that user see; nobody else's Wireshark configuration."""
        if not self.is_other:
            return os.environ | {"HOME": str(self.home)}
        dropped = ("WIRESHARK_CONFIG_DIR", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        return kept | {"HOME": str(self.home)}

    def owns(self, path: Path) -> None:
        """Give a file or folder to that user."""
        if self.is_other:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


@dataclass(frozen=True)
class Folders:
    """Where that user's Wireshark looks."""

    plugins: Path
    profile: Path

    @classmethod
    def of(cls, user: User) -> Folders:
        """As `tshark -G folders` tells."""
        tshark = shutil.which("tshark")
        if tshark is None:
            raise NoTshark("tshark is missing: install it (Debian, Ubuntu: apt install tshark)")
        asked = subprocess.run(
            [tshark, "-G", "folders"], capture_output=True, text=True, check=False, timeout=ASK_TIMEOUT,
            env=user.environment(), cwd="/", user=user.other_uid, group=user.other_gid,
        )  # fmt: skip
        told = dict(line.split(":", 1) for line in asked.stdout.splitlines() if ":" in line)
        found = {name: Path(text.strip()) for name, text in told.items()}
        plugins = found.get("Personal Lua Plugins")
        if plugins is None or "Personal configuration" not in found:
            raise Problem("this tshark does not tell its folders, or has no Lua: Wireshark 4.0 or newer is needed")
        return cls(plugins, found["Personal configuration"] / "profiles" / PROFILE)


@dataclass
class Installation:
    """What is, or is to be, in a user's folders."""

    user: User
    folders: Folders

    def sources(self) -> Iterator[tuple[Path, Path]]:
        """Every file of ours and where it belongs."""
        root = dissector()
        yield root / "dsmip.lua", self.folders.plugins / "dsmip.lua"
        for file in sorted((root / "dsmip").glob("*.lua")):
            yield file, self.folders.plugins / "dsmip" / file.name
        for file in sorted((root / "profile").iterdir()):
            yield file, self.folders.profile / file.name

    @property
    def manifest(self) -> Path:
        return self.folders.profile / MANIFEST

    def recorded(self, which: str = "files") -> dict[Path, str]:
        """The files that an earlier installation wrote, with their digests then; or those that it `left` changed."""
        if not self.manifest.is_file():
            return {}
        try:
            content = json.loads(self.manifest.read_text(encoding="utf-8"))
            return {Path(name): str(digest) for name, digest in content.get(which, {}).items()}
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise Problem(f"{self.manifest}: cannot be read ({error}); remove it and the files it was for") from error

    def install(self) -> list[str]:
        """Write all files; what somebody else wrote or changed stays, and is told."""
        recorded, written = self.recorded("left") | self.recorded(), dict[Path, str]()
        kept: list[str] = []
        files = {target: source for source, target in self.sources()}
        foreign = [
            target
            for target, source in files.items()
            if target.exists() and target not in recorded and _digest(target) != _digest(source)
        ]
        if foreign:
            raise Problem(f"{foreign[0]} is there already and is not ours: move it away, then install again")
        for target, source in files.items():
            if target.resolve() == source.resolve():
                raise Problem(f"{target} leads to {source} itself: remove that link, then install again")
        for target, source in files.items():
            if target.exists() and target in recorded and _digest(target) != recorded[target]:
                kept.append(f"kept      {target} (changed since it was installed; ours comes back when it is removed)")
                written[target] = recorded[target]
                continue
            self._write(target, source.read_bytes())
            written[target] = _digest(target)
        for old in recorded.keys() - written.keys():
            _remove(old, recorded[old])
        self._note(files=written)
        return [f"installed {len(written)} files: the dissector in {self.folders.plugins}",
                f"          and the profile {PROFILE} in {self.folders.profile}", *kept]  # fmt: skip

    def _note(self, **which: dict[Path, str]) -> None:
        files = {kind: {str(name): digest for name, digest in sorted(of.items())} for kind, of in which.items()}
        self._write(self.manifest, (json.dumps({"version": __version__, **files}, indent=1) + "\n").encode())

    def _write(self, target: Path, content: bytes) -> None:
        missing = [folder for folder in target.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir()
            self.user.owns(folder)
        temporary = target.with_name(f".{target.name}.new")
        temporary.write_bytes(content)
        self.user.owns(temporary)
        temporary.replace(target)

    def uninstall(self) -> list[str]:
        """Remove exactly what was installed and has not been changed, and folders that are empty then."""
        recorded = self.recorded()
        if not recorded:
            return ["nothing is installed"]
        changed = [path for path, digest in recorded.items() if not _remove(path, digest)]
        if changed == [self.folders.profile / KEPT_BY_WIRESHARK]:  # of a profile that is gone it says nothing
            changed.pop().unlink()
        if changed:
            self._note(left={path: recorded[path] for path in changed})  # so that they are known another time
        else:
            self.manifest.unlink()
        for folder in (self.folders.plugins / "dsmip", self.folders.profile):
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()
        told = [f"kept    {path} (changed since it was installed)" for path in changed]
        return [f"removed {len(recorded) - len(changed)} files", *told]

    def status(self) -> list[str]:
        """What is where, a line each."""
        recorded = self.recorded()
        if not recorded:
            return [f"not installed; `mn-dsmip wireshark install` would write to {self.folders.plugins} and",
                    f"{self.folders.profile}"]  # fmt: skip
        current = {target: _digest(source) for source, target in self.sources()}
        lines = [f"plugin   {self.folders.plugins}", f"profile  {self.folders.profile}"]
        for path, digest in sorted(recorded.items()):
            lines.append(f"{_state(path, digest, current.get(path)):<9}{path}")
        return lines


def _state(path: Path, recorded: str, current: str | None) -> str:
    if not path.exists():
        return "missing"
    if _digest(path) != recorded:
        return "changed"
    return "current" if recorded == current else "older"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _remove(path: Path, digest: str) -> bool:
    """Remove a file unless it was changed; whether it is gone."""
    if path.is_file() and _digest(path) != digest:
        return False
    path.unlink(missing_ok=True)
    return True


# -- opening a run


def command(run: Path, installation: Installation | None) -> list[str]:
    """The Wireshark command that shows a run, or a capture with a folder of keys beside it, decrypted."""
    capture = run / TRACE if run.is_dir() else run
    if not capture.is_file():
        if run.is_dir():
            raise Problem(f"{run}: not a run's folder, there is no {TRACE} in it; name the capture itself")
        raise Problem(f"{run}: there is no such capture, nor a run's folder of that name")
    words = ["wireshark", "-r", str(capture)]
    installed = installation is not None and bool(installation.recorded())
    words += ["-C", PROFILE] if installed else ["-X", f"lua_script:{dissector() / 'dsmip.lua'}"]
    for preference in DECODING:
        words += ["-o", preference]
    for table, columns in KEY_TABLES.items():
        for record in _records(capture.parent / KEYS / table, columns):
            words += ["-o", f"uat:{table}:{record}"]
    return words


def _records(file: Path, columns: int) -> Iterator[str]:
    """The lines of one of Wireshark's key tables."""
    if not file.is_file():
        return
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            if len(next(csv.reader([line]))) < columns:
                raise Problem(f"{file}:{number}: expected {columns} columns")
            yield line


def open_run(run: Path, installation: Installation | None, user: User) -> list[str]:
    """Start Wireshark, or tell the command where there is no display or no Wireshark."""
    words = command(run, installation)
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    program = shutil.which("wireshark")
    if not display or program is None:
        why = "there is no display here" if not display else "Wireshark's window is not installed here"
        without = "" if "-C" in words else " (without columns and colours: mn-dsmip wireshark install)"
        return [f"{why}; this command opens it{without}:", shlex.join(words)]
    started = subprocess.Popen(
        [program, *words[1:]], env=user.environment(), start_new_session=True,
        user=user.other_uid, group=user.other_gid,
    )  # fmt: skip
    try:
        status = started.wait(START_TIME)
    except subprocess.TimeoutExpired:
        status = 0
    if status:
        raise Problem(f"Wireshark did not start on the display {display} (its own words are above)")
    return [f"Wireshark opens {words[2]}"]


def main(argv: Sequence[str]) -> int:
    """Run `mn-dsmip wireshark`; exit status 0 well, 1 not, 2 unusable input."""
    parser = argparse.ArgumentParser("mn-dsmip wireshark", description="Wireshark's companion for DS-MIPv6 over S2c.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    commands.add_parser("install", help="put the dissector and the profile into your personal Wireshark folders")
    commands.add_parser("uninstall", help="remove exactly what was installed")
    commands.add_parser("status", help="tell what is where")
    opening = commands.add_parser("open", help="open a run, decrypted, with the profile; or print the command")
    opening.add_argument("run", type=Path, metavar="RUN_OR_CAPTURE")
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    try:
        lines = _run(arguments)
    except (Problem, ResourceError) as problem:
        sys.stderr.write(f"mn-dsmip wireshark: {problem}\n")
        return UNUSABLE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"mn-dsmip wireshark: {where}{error.strerror or error}{_advice(error)}\n")
        return FAILURE
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"mn-dsmip wireshark: tshark -G folders did not answer in {ASK_TIMEOUT:.0f} s\n")
        return FAILURE
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _advice(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "; chown or chmod it for yourself, then try again"
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return "; move away what stands there, then try again"
    return ""


def _run(arguments: argparse.Namespace) -> list[str]:
    user = User.current()
    if arguments.command == "open":
        try:
            return open_run(arguments.run, Installation(user, Folders.of(user)), user)
        except NoTshark:  # the command can be told
            return open_run(arguments.run, None, user)
    installation = Installation(user, Folders.of(user))
    if arguments.command == "install":
        return installation.install()
    if arguments.command == "uninstall":
        return installation.uninstall()
    return installation.status()
