# SPDX-License-Identifier: GPL-2.0-or-later
"""The pictures in dissectors/screenshots/: Wireshark's window under Xvfb, its profile installed as a user does.

    python -m tests.dissectors.screenshots [FOLDER]     exit status 1, with a line, when Wireshark does not show it

Nothing of the user's settings is read or written: home and configuration are a temporary folder.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mn_dsmip import wireshark
from tests.dissectors.packets import violations

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT = 2200, 1080
"""Pixels; wide enough for the longest sentence of the captures."""
PATIENCE = 60.0
"""Seconds for any one thing to happen."""
LOOKS, PAUSE = 4, 0.25
"""A picture is done when it is the same so often, so many seconds apart."""
SETTINGS = f"""gui.geometry_main_x: 0
gui.geometry_main_y: 0
gui.geometry_main_width: {WIDTH}
gui.geometry_main_height: {HEIGHT}
gui.geometry_main_maximized: FALSE
privs.warn_if_elevated: FALSE
"""
PANES = """gui.geometry_main_upper_pane: 560
gui.geometry_main_lower_pane: 1440
"""
T = TypeVar("T")


class Trouble(Exception):
    """What did not happen, in a line."""


@dataclass(frozen=True)
class Picture:
    """A capture (or run), the filter it is shown with, and the frame whose explanation is opened."""

    name: str
    run: Path
    frame: int
    filter: str = ""


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    """What `look` finds at last; Trouble after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise Trouble(f"in {PATIENCE:.0f} s there was no {what}")


@contextlib.contextmanager
def running(words: Sequence[str], environment: dict[str, str], log: Path, **more: tuple[int, ...]) -> Iterator[None]:
    """A program for the time of the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=output, pass_fds=more.get("pass_fds", ()))  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Screen:
    """An X server of its own, its programs' home, and what is done and seen there."""

    def __init__(self, folder: Path, number: str) -> None:
        dropped = {"WIRESHARK_CONFIG_DIR", "XDG_CONFIG_HOME", "WAYLAND_DISPLAY", "SUDO_UID", "SUDO_GID"}
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700)
        self.folder = folder
        self.environment = kept | {
            "DISPLAY": f":{number}", "HOME": str(folder), "XDG_RUNTIME_DIR": str(runtime), "TZ": "UTC",
            "LC_ALL": "C.UTF-8", "QT_QPA_PLATFORM": "xcb", "QT_SCALE_FACTOR": "1",
        }  # fmt: skip

    def run(self, *words: str) -> bytes:
        """A program's output; nothing when it fails."""
        return subprocess.run(
            words, env=self.environment, capture_output=True, check=False, timeout=PATIENCE
        ).stdout.strip()

    def window(self, title: str) -> str:
        """The visible window whose title begins so."""
        found = wait_for(
            f"window called {title!r}", lambda: self.run("xdotool", "search", "--onlyvisible", "--name", f"^{title}")
        )
        return found.split()[0].decode()

    def picture(self, changed_from: bytes = b"") -> bytes:
        """What the screen shows once it has come to rest, as a picture that differs from an earlier one."""
        seen = [b""] * LOOKS

        def at_rest() -> bytes:
            time.sleep(PAUSE)
            seen.append(self.run("import", "-window", "root", "-depth", "8", "rgb:-"))
            same = len(set(seen[-LOOKS:])) == 1
            return seen[-1] if same and len(set(seen[-1][::997])) > 1 and seen[-1] != changed_from else b""

        return wait_for("picture that stays", at_rest)

    def save(self, file: Path) -> None:
        """Write the screen as a PNG without dates, in at most 255 colours."""
        self.run("import", "-window", "root", "-strip", "+dither", "-colors", "255", "-define",
                 "png:exclude-chunks=date,time", "-define", "png:compression-filter=0", f"png8:{file}")  # fmt: skip
        if not file.is_file():
            raise Trouble(f"{file} could not be written")


@contextlib.contextmanager
def screen(folder: Path) -> Iterator[Screen]:
    """A screen with our profile installed, while the block lasts."""
    read, write = os.pipe()
    words = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-nolisten", "tcp"]
    with running(words, dict(os.environ), folder / "xvfb.log", pass_fds=(write,)):
        os.close(write)
        with open(read, "rb") as told:
            number = told.readline().decode().strip()
        if not number:
            raise Trouble(f"Xvfb does not start: {(folder / 'xvfb.log').read_text(errors='replace')[-300:].strip()}")
        yield Screen(folder, number)


def installed(place: Screen) -> wireshark.Installation:
    """The profile and the dissector, where that home's Wireshark finds them, and a window of our size."""
    user = wireshark.User(os.geteuid(), os.getegid(), place.folder)
    os.environ |= place.environment
    for name in os.environ.keys() - place.environment.keys():
        del os.environ[name]
    installation = wireshark.Installation(user, wireshark.Folders.of(user))
    installation.install()
    (installation.folders.profile.parents[1] / "recent_common").write_text(SETTINGS)
    with (installation.folders.profile / "recent").open("a") as recent:
        recent.write(PANES)
    return installation


def take(place: Screen, installation: wireshark.Installation, picture: Picture, file: Path) -> None:
    """Open Wireshark, select the frame, open our part of its tree, and save what is seen."""
    words = [*wireshark.command(picture.run, installation), "-g", str(picture.frame)]
    words += ["-Y", picture.filter] if picture.filter else []
    with running(words, place.environment, place.folder / "wireshark.log"):
        place.run("xdotool", "windowfocus", "--sync", place.window("trace[.]pcap"))
        shown = place.picture()
        place.run("xdotool", "mousemove", str(WIDTH // 4), str(HEIGHT - 60), "click", "1")  # the tree: below its lines
        place.run("xdotool", "key", "--delay", "200", "Home", "End", "Right")  # the last of it is ours
        place.run("xdotool", "mousemove", str(WIDTH - 1), str(HEIGHT - 1))
        place.picture(changed_from=shown)
        place.save(file)


def main(argv: Sequence[str]) -> int:
    """Make both pictures."""
    folder = Path(argv[0] if argv else ROOT / "dissectors" / "screenshots").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="mn-dsmip-") as name, screen(Path(name)) as place:
            installation = installed(place)
            faulty = place.folder / "faulty"
            violations.write(faulty)
            for picture in (
                Picture("bootstrap", ROOT / "captures" / "initial-attach", 26, "dsmip.step"),
                Picture("violations", faulty / "trace.pcap", 8),
            ):
                take(place, installation, picture, folder / f"{picture.name}.png")
                sys.stdout.write(f"{folder / picture.name}.png\n")
    except (Trouble, wireshark.Problem, subprocess.TimeoutExpired) as trouble:
        sys.stderr.write(f"screenshots: {trouble}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
