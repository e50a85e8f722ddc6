# SPDX-License-Identifier: GPL-2.0-or-later
"""The README's example runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = re.compile(r"<!-- example: a test runs it -->\n```python\n(.*?)```", re.DOTALL)
ISOLATED = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


@pytest.mark.mininet
@pytest.mark.slow
def test_the_example_attaches_a_ue_that_reaches_the_correspondent(clone: Path, tmp_path: Path) -> None:
    found = EXAMPLE.search((clone / "README.md").read_text())
    assert found is not None
    script = tmp_path / "mine.py"
    script.write_text(found[1])
    done = subprocess.run(
        [*ISOLATED, sys.executable, script],
        cwd=tmp_path,
        input="dsmip\nue1 ping -6 -c1 -W5 cn\nexit\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^ue1 +ATTACHED ", done.stdout, re.MULTILINE), done.stdout
    assert "1 received" in done.stdout
