# SPDX-License-Identifier: GPL-2.0-or-later
"""The README's chapter "Check a trace": every command, file, job and test in it works as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- check: (.*?) -->\n```(\w*)\n(.*?)```", re.DOTALL)
TIMEOUT = 60


def chapter() -> str:
    text = (ROOT / "README.md").read_text()
    return text[text.index("\n## Check a trace") : text.index("\n## One agent alone")]


def blocks(kind: str) -> list[str]:
    """The blocks that a comment of this kind stands above."""
    return [body for said, _, body in BLOCK.findall(chapter()) if said.startswith(kind)]


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """A folder as somebody has it who follows the chapter: a clone with a run, and a capture of a phone."""
    for name in ("captures", "mn_dsmip"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    command = binaries / "mn-dsmip"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" -m mn_dsmip "$@"\n')
    command.chmod(0o755)
    case = ROOT / "captures" / "initial-attach"
    run = tmp_path / "runs" / "latest"
    run.mkdir(parents=True)
    shutil.copy(case / "trace.pcapng", run)
    shutil.copytree(case / "wireshark", run / "wireshark")
    shutil.copy(case / "trace.pcapng", tmp_path / "phone.pcap")
    shutil.copytree(case / "wireshark", tmp_path / "keys")
    return tmp_path


def sh(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command as the shell of a CI job does."""
    env = {key: value for key, value in os.environ.items() if key not in ("GITHUB_ACTIONS", "NO_COLOR")} | environment
    env["PATH"] = f"{folder / '.venv' / 'bin'}:{env['PATH']}"
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=TIMEOUT
    )


def follow(folder: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """Do all that the chapter says, from top to bottom; what became of each command."""
    done = {}
    for said, kind, body in BLOCK.findall(chapter()):
        if said.startswith("the file "):
            (folder / said.split()[-1]).write_text(body)
        elif kind == "sh":
            lines = body.splitlines()
            for line in lines:
                status = 1 if "fails" in said and line == lines[-1] else 0
                done[line] = sh(line, folder)
                assert done[line].returncode == status, (line, done[line].stdout, done[line].stderr)
    return done


def test_every_command_does_what_is_said(newcomer: Path) -> None:
    done = follow(newcomer)
    assert len(done) >= 7
    broken = next(
        one.stdout
        for line, one in done.items()
        if line.endswith("broken.pcapng --flow initial-attach --keys captures/initial-attach/wireshark")
    )
    (shown,) = blocks("its output")
    shown, broken = (re.sub(r" at [\d.]+ s|yaml:\d+", "", one) for one in (shown, broken))
    parts = [part.strip("\n") for part in shown.split("...\n")]
    assert broken.startswith(parts[0]) and all(part in broken for part in parts)
    assert (newcomer / "runs" / "latest" / "verdict.txt").read_text().startswith("PASS")
    assert (newcomer / "report.html").read_text().startswith("<!doctype html>")
    assert (newcomer / "ladder.svg").read_text().startswith("<svg")
    short = next(one.stdout for line, one in done.items() if "short.yaml" in line)
    assert "lifetime: expected" in short and "clause: our operator's limit" in short


def test_commands_outside_of_these_blocks_are_none() -> None:
    """A fenced block with a command of ours that no test runs would be a promise."""
    rest = BLOCK.sub("", chapter())
    assert not [body for body in re.findall(r"```\w*\n(.*?)```", rest, re.DOTALL) if "mn-dsmip" in body]


def test_the_job_of_github_actions(newcomer: Path) -> None:
    (job,) = [yaml.safe_load(one)["jobs"]["trace"] for one in blocks("a job")]
    commands = [step["run"] for step in job["steps"] if "mn-dsmip " in step.get("run", "")]
    summary = newcomer / "summary.md"
    summary.touch()
    for command in commands:
        done = sh(command, newcomer, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert summary.read_text().startswith("## ✅ PASS")
    uploaded = next(step["with"]["sarif_file"] for step in job["steps"] if "upload-sarif" in step.get("uses", ""))
    assert (newcomer / uploaded).exists() and (newcomer / "report.xml").exists()


def test_the_test(newcomer: Path, pytester: pytest.Pytester) -> None:
    (body,) = blocks("a test")
    shutil.copytree(newcomer / "runs", pytester.path / "runs")
    pytester.makepyfile(body)
    pytester.runpytest_subprocess("-p", "mn_dsmip.pytest_plugin", "-q", timeout=TIMEOUT).assert_outcomes(passed=1)


def test_the_tables_are_wiresharks(newcomer: Path) -> None:
    """The lines that show the tables have as many columns as the tables that are shipped, and their words."""
    shown = chapter().splitlines()
    for name in ("ikev2_decryption_table", "esp_sa"):
        line = (newcomer / "keys" / name).read_text().splitlines()[1]
        assert any(one.count(",") == line.count(",") and one.split(",")[0] == line.split(",")[0] for one in shown)
