# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixture `dsmip_trace`: passes on a good trace, fails with the checker's own words, costs nothing until used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mn_dsmip.check import main
from tests.check import damage
from tests.check.conftest import Case

PLUGIN = "mn_dsmip.pytest_plugin"


def ran(pytester: pytest.Pytester, body: str) -> pytest.RunResult:
    """One test with this body, in a pytest of its own."""
    pytester.makepyfile(f"def test_it(dsmip_trace):\n    {body}\n")
    return pytester.runpytest_subprocess("-p", PLUGIN, "-p", "no:cacheprovider", "-q", timeout=60)


@pytest.fixture
def bad(forged: Case, tmp_path: Path) -> Path:
    trace = forged.damaged()
    trace.edit_mobility(trace.mobility(6)[0], damage.set_sequence(6, 7))
    return trace.save(tmp_path / "bad.pcapng")


def test_a_good_trace_passes(forged: Case, pytester: pytest.Pytester) -> None:
    ran(pytester, f"dsmip_trace({str(forged.capture.parent)!r}).must_match('initial-attach')").assert_outcomes(passed=1)


def test_failure_is_the_report(
    forged: Case, bad: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    result = ran(pytester, f"dsmip_trace({str(bad)!r}, keys={str(forged.keys)!r}).must_match('initial-attach')")
    result.assert_outcomes(failed=1)
    capsys.readouterr()
    main([str(bad), "--keys", str(forged.keys), "--flow", "initial-attach"])
    wanted = capsys.readouterr().out.splitlines()
    assert wanted[0].startswith("FAIL  ")
    at = result.outlines.index(wanted[0])
    told = [line for line in wanted if "flow.yaml" not in line]  # its path is relative to where one stands
    assert [line for line in result.outlines[at : at + len(wanted)] if "flow.yaml" not in line] == told


def test_inconclusive_fails_unless_allowed(forged: Case, tmp_path: Path, pytester: pytest.Pytester) -> None:
    alone = tmp_path / "alone.pcapng"
    alone.write_bytes(forged.capture.read_bytes())
    result = ran(pytester, f"dsmip_trace({str(alone)!r}).must_match()")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["INCONCLUSIVE  *"])
    ran(pytester, f"dsmip_trace({str(alone)!r}).must_match(allow_unseen=True)").assert_outcomes(passed=1)


def test_paths_start_at_the_root_folder(forged: Case, pytester: pytest.Pytester) -> None:
    (pytester.path / "runs").mkdir()
    (pytester.path / "runs" / "latest").symlink_to(forged.capture.parent)
    (pytester.path / "mine.yaml").write_text(
        "version: 1\nname: mine\nsteps:\n- {step: hello, message: ike_sa_init, where: {response: false}}\n"
    )
    (pytester.path / "deep").mkdir()
    pytester.makeini("[pytest]\n")
    body = "import os; os.chdir('deep'); dsmip_trace('runs/latest').must_match('mine.yaml')"
    ran(pytester, body).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("dsmip_trace('.').must_match()", "dsmip_trace: * has no trace.pcapng"),
        ("dsmip_trace('x.pcap').must_match()", "dsmip_trace: *x.pcap*"),
        ("dsmip_trace('.', keys='none').must_match()", "dsmip_trace: *"),
    ],
)
def test_what_cannot_be_judged_is_told(call: str, says: str, pytester: pytest.Pytester) -> None:
    result = ran(pytester, call)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([says])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_it_costs_nothing_until_used() -> None:
    names = ("pyshark", "yaml", "lxml", "mn_dsmip.check", "mn_dsmip.wire")
    script = f"import sys, {PLUGIN}\nprint([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"


def test_the_package_announces_it(clone: Path) -> None:
    """pytest finds the plugin by this entry point once mn-dsmip is installed; its name lets `-p` name it, too."""
    lines = (clone / "pyproject.toml").read_text().splitlines()
    assert lines[lines.index("[project.entry-points.pytest11]") + 1] == f'"{PLUGIN}" = "{PLUGIN}"'
