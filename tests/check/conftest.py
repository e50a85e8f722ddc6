# SPDX-License-Identifier: GPL-2.0-or-later
"""A good trace, damaged copies of it, and the checker run on them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mn_dsmip.check import cli
from mn_dsmip.check.flow.language import load
from mn_dsmip.check.model import Message
from mn_dsmip.check.reading import pyshark_reader as trace
from mn_dsmip.check.reading.dissect import dissect
from mn_dsmip.check.reading.keys import Keys
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.verdict import Verdict, judge_all
from tests.check.damage import Damaged
from tests.check.forge import PUBLISHED, Forger, Subscriber, write_capture, write_keys

FLOW = Path(__file__).parents[2] / "captures" / "initial-attach" / "flow.yaml"


@dataclass
class Case:
    """A capture with its key folder."""

    capture: Path
    keys: Path

    def damaged(self) -> Damaged:
        return Damaged.load(self.capture, self.keys)


def pytest_configure(config: pytest.Config) -> None:
    if not shutil.which("tshark"):
        pytest.exit("tests/check needs tshark: apt install tshark", returncode=2)


@pytest.fixture(scope="session")
def forged(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The complete trace forged from the published vectors."""
    folder = tmp_path_factory.mktemp("forged")
    write_capture(folder / "trace.pcapng", Forger().whole().frames)
    return Case(folder / "trace.pcapng", write_keys(folder / "wireshark", PUBLISHED))


@pytest.fixture(scope="session")
def good(forged: Case) -> list[Message]:
    """The messages of the good trace, for tests that change them without sealing anything."""
    return messages_of(forged.capture, forged.keys)


@pytest.fixture(scope="session")
def interleaved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, list[Subscriber]]:
    """Three UEs that attach at the same time on one link."""
    folder = tmp_path_factory.mktemp("interleaved")
    subscribers = [PUBLISHED, *(PUBLISHED.numbered(index) for index in (1, 2))]
    frames = []
    for index, subscriber in enumerate(subscribers):
        frames += Forger(subscriber, start=1_800_000_000 + index * 0.003).whole().frames
    write_capture(folder / "trace.pcapng", frames)
    return Case(folder / "trace.pcapng", write_keys(folder / "wireshark", *subscribers)), subscribers


def messages_of(capture: Path, keys: Path | None) -> list[Message]:
    packets = trace.read(capture, Keys.load(keys) if keys else Keys())
    return [message for packet in packets if (message := dissect(packet))]


def judged(messages: list[Message], flow: Path = FLOW) -> Verdict:
    return judge_all(messages, load(flow), RULES)


def judged_file(capture: Path, keys: Path) -> tuple[Verdict, Source]:
    """One capture judged, and what a report needs beside the verdict."""
    messages = messages_of(capture, keys)
    return judged(messages), Source(capture, keys, len(messages), messages[0].time)


Check = Callable[..., tuple[int, dict[str, Any]]]  # Any: parsed JSON


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Run the command with --format json: exit status and verdict."""

    def run(capture: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
        status = cli.main([str(capture), "--format", "json", *arguments])
        output = capsys.readouterr().out
        return status, json.loads(output) if output else {}

    return run
