# SPDX-License-Identifier: GPL-2.0-or-later
"""The checker's command lines: whatever is wrong is one line and status 2; what they list and print."""

from __future__ import annotations

import os
import pty
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from mn_dsmip import cli as whole
from mn_dsmip import resources
from mn_dsmip.check import cli, command, main
from mn_dsmip.check.report.text import Style, text
from mn_dsmip.check.rules.coverage import table
from mn_dsmip.check.verdict import Verdict
from tests.check import damage
from tests.check.conftest import FLOW, Case, Check, judged_file
from tests.check.subscriber import Subscriber

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["check"], "mn-dsmip check: a run or a capture is missing (mn-dsmip check --help tells more)"),
        (["check", "x", "--wrong"], "mn-dsmip check: unrecognized arguments: --wrong ("),
        (["check", "x", "--reader", "scapy"], "mn-dsmip check: argument --reader: invalid choice: 'scapy'"),
        (["check", "nowhere.pcap"], "mn-dsmip check: nowhere.pcap: "),
        (["check", ".", "--keys"], "mn-dsmip check: argument --keys: expected one argument ("),
        (["report"], "mn-dsmip report: the following arguments are required: RUN_OR_CAPTURE ("),
        (["report", "nowhere.pcap"], "mn-dsmip report: nowhere.pcap: "),
        (["draft", "nowhere.pcap"], "mn-dsmip draft: nowhere.pcap: "),
        (["diff", "one"], "mn-dsmip diff: the following arguments are required: SECOND ("),
        (["status"], "mn-dsmip status: the following arguments are required: --socket ("),
        (["init"], "mn-dsmip init: the following arguments are required: DIR ("),
        (["topo"], "mn-dsmip topo: the following arguments are required: NAME ("),
        (["chekc"], "mn-dsmip: argument COMMAND: invalid choice: 'chekc' ("),
        ([], "mn-dsmip: the following arguments are required: COMMAND ("),
    ],
    ids=" ".join,
)
def test_mistakes_are_one_line(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = whole.main(words)
    except SystemExit as end:
        status = int(end.code or 0)
    output = capsys.readouterr()
    assert output.err.startswith(says)
    assert (status, output.out, output.err.count("\n")) == (2, "", 1)


def test_a_fault_of_ours_is_no_verdict(
    forged: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(cli, "judge_capture", break_down)
    assert main([str(forged.capture)]) == 2
    assert capsys.readouterr().err == (
        "mn-dsmip check: a fault in mn-dsmip itself: ZeroDivisionError: oh (MN_DSMIP_DEBUG=1 shows where)\n"
    )
    monkeypatch.setenv("MN_DSMIP_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main([str(forged.capture)])


def test_interrupted(forged: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "judge_capture", interrupt)
    assert main([str(forged.capture)]) == 2
    assert capsys.readouterr().err == "mn-dsmip check: stopped before there was a verdict\n"


def test_flows_are_listed_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--flows"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == resources.flows()
    assert all(len(line.split()) > 3 for line in lines)
    assert "initial-attach" in [line.split()[0] for line in lines]


def test_coverage_needs_no_capture(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--coverage"]) == 0
    assert capsys.readouterr().out == table()


def test_follow_ends_with_the_verdict(forged: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run whose capture is finished: told as it shows, then the report as without --follow, also in the folder."""
    run = tmp_path / "run"
    shutil.copytree(forged.keys, run / "wireshark")
    statistics = struct.pack(">IIIIII", 5, 24, 0, 0, 0, 24)  # with which a writer of pcapng ends
    if forged.capture.read_bytes()[8:12] != bytes.fromhex("1a2b3c4d"):
        statistics = struct.pack("<IIIIII", 5, 24, 0, 0, 0, 24)
    (run / "trace.pcapng").write_bytes(forged.capture.read_bytes() + statistics)
    assert main([str(run), "--follow"]) == 0
    followed = capsys.readouterr().out
    assert main([str(run)]) == 0
    report = capsys.readouterr().out
    assert followed.endswith(report) and followed.startswith("UE 1: PASS  ") and report.startswith("PASS  ")
    assert (run / "verdict.txt").read_text() == report
    assert main([str(run), "--follow", "--format", "json"]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("{") and output.err.startswith("UE 1: PASS  ")
    assert main(["-", "--follow"]) == 2


def test_a_closed_pipe_does_not_change_the_status(forged: Case) -> None:
    """Somebody who reads one octet only still gets the status of the verdict."""
    command = [sys.executable, "-m", "mn_dsmip.check", str(forged.capture), "--format", "json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        said = running.stderr.read()
        assert (running.wait(60), said) == (0, b"")


def test_standard_input(forged: Case, tmp_path: Path) -> None:
    """A pipe is read like the file; what is no capture is told in one line."""
    command = [sys.executable, "-m", "mn_dsmip.check", "-", "--keys", str(forged.keys)]
    done = subprocess.run(command, cwd=ROOT, input=forged.capture.read_bytes(), capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.startswith(b"PASS  - against ")
    done = subprocess.run(command, cwd=ROOT, input=b"no capture", capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"mn-dsmip check: -: ") and done.stderr.count(b"\n") == 1


def test_a_flow_of_which_nothing_is_there_fails(forged: Case, tmp_path: Path, check: Check) -> None:
    """Optional steps alone do not pass on a capture that has none of them."""
    flow = tmp_path / "optional.yaml"
    flow.write_text(
        "version: 1\nname: optional\nsteps:\n- {step: error, message: binding_error, optional: true}\n"
        "- {step: switch, message: home_agent_switch, optional: true}\n"
    )
    status, verdict = check(forged.capture, "--flow", str(flow), "--allow-unseen")
    assert (status, verdict["verdict"], verdict["found"]) == (1, "fail", False)


# -- terminals


def on_a_terminal(command: list[str], columns: int, **environment: str) -> str:
    """What a command writes to a terminal of that width."""
    ours, theirs = pty.openpty()
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")} | environment
    with subprocess.Popen(
        command, cwd=ROOT, stdout=theirs, stderr=theirs, env={**env, "COLUMNS": str(columns)}
    ) as done:
        os.close(theirs)
        told = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:  # nobody holds the other end any more
                break
            if not more:
                break
            told += more
        done.wait(60)
    os.close(ours)
    return told.decode()


def test_colours_and_width_on_a_terminal(bad_capture: Case) -> None:
    command = [sys.executable, "-m", "mn_dsmip.check", str(bad_capture.capture), "--keys", str(bad_capture.keys)]
    told = on_a_terminal(command, 72)
    assert "\x1b[1;31mFAIL\x1b[0m" in told
    plain = re.sub(r"\x1b\[[0-9;]*m", "", told)
    long = [line for line in plain.splitlines() if len(line) > 72]
    # a command is there to be copied, a path has no place to break at
    assert all("look at it: " in line or str(bad_capture.capture) in line or ".yaml:" in line for line in long), long
    assert "\x1b" not in on_a_terminal(command, 72, NO_COLOR="1")
    assert on_a_terminal(command, 72, NO_COLOR="1") == plain


def test_no_colours_in_a_file(bad_capture: Case) -> None:
    command = [sys.executable, "-m", "mn_dsmip.check", str(bad_capture.capture)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "\x1b" not in done.stdout and done.returncode == 1


@pytest.fixture(scope="module")
def bad_capture(forged: Case, tmp_path_factory: pytest.TempPathFactory) -> Case:
    trace = forged.damaged()
    trace.edit_mobility(trace.mobility(6)[0], damage.set_sequence(6, 7))
    return Case(trace.save(tmp_path_factory.mktemp("bad") / "bad.pcapng"), forged.keys)


# -- many UEs


def test_many_ues_are_one_line_each(
    interleaved: tuple[Case, list[Subscriber]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of all at the end; only those that do not pass are told in detail."""
    case, _ = interleaved
    trace = case.damaged()
    trace.edit_mobility(trace.mobility(6)[1], damage.set_sequence(6, 7))
    capture = trace.save(tmp_path / "three.pcapng")
    assert main([str(capture), "--keys", str(case.keys)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "      3 UEs: 2 pass, 1 fail" in lines
    assert sum(line.startswith("UE ") and ": FAIL  " in line for line in lines) == 1
    assert not any(line.startswith("UE ") and ": PASS  " in line for line in lines)
    at = next(index for index, line in enumerate(lines) if re.match("UE  verdict  steps ", line))
    rows = lines[at + 1 : lines.index("", at)]
    assert [row.split()[:2] for row in rows] == [["1", "PASS"], ["2", "FAIL"], ["3", "PASS"]]
    assert all("@nai.epc.mnc" in row for row in rows)


def test_sessions_that_pass_are_only_counted(forged: Case) -> None:
    """Without `keep` no session stays, and without `detail` not the steps of those that pass."""
    verdict, source = judged_file(forged.capture, forged.keys)
    (judgement,) = verdict.judgements
    counted = Verdict(verdict.flow, detail=0)
    record = counted.add(judgement)
    assert (counted.verdict, counted.judgements, record.steps, record.rules) == ("pass", [], (), ())
    assert record.steps_done == record.steps_asked > 20
    assert "steps: 27 of 27 as expected\n" in text(counted, source, Style())
    kept = Verdict(verdict.flow, keep=2)
    for _ in range(5):
        kept.add(judgement)
    assert (len(kept.judgements), len(kept.records)) == (2, 5)
    assert kept.rule_outcomes["I1", "passed"] == kept.step_outcomes["registration", "matched"] == 5


def test_a_flow_may_leave_out_rules(forged: Case, tmp_path: Path, check: Check) -> None:
    flow = tmp_path / "without.yaml"
    flow.write_text(
        "version: 1\nname: without\nwithout_rules: {I1: not in this one}\nsteps:\n"
        "- {step: hello, message: ike_sa_init, where: {response: false}}\n"
    )
    _, verdict = check(forged.capture, "--flow", str(flow))
    asked = {one["rule"] for one in verdict["sessions"][0]["rules"]}
    assert "I1" not in asked and "I2" in asked


def test_the_shipped_capture(check: Check) -> None:
    status, verdict = check(FLOW.parent)
    assert (status, verdict["verdict"]) == (0, "pass")


# -- draft and diff


def test_a_draft_passes_on_its_capture(forged: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drafted = tmp_path / "draft.yaml"
    assert command("draft", [str(forged.capture), "-o", str(drafted)]) == 0
    assert capsys.readouterr().out.startswith(f"{drafted}: a first flow; mn-dsmip check ")
    assert main([str(forged.capture), "--flow", str(drafted)]) == 0
    capsys.readouterr()
    assert command("draft", [str(forged.capture)]) == 0
    assert capsys.readouterr().out == drafted.read_text()
    assert command("draft", [str(forged.capture), "--ue", "7"]) == 2
    assert capsys.readouterr().err.endswith("there is no UE 7 in the capture\n")


def test_two_traces_part_in_a_step(
    forged: Case, bad_capture: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the keys of the first for both, when the second brings none."""
    assert command("diff", [str(forged.capture), str(bad_capture.capture)]) == 1
    told = capsys.readouterr().out
    assert "sequence: " in told and "hidden" not in told
    assert command("diff", [str(forged.capture), str(forged.capture)]) == 0
