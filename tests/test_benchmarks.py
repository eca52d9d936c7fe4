"""The page of the benchmarks says what their results say, in the words of the scripts that measured them."""

import subprocess
import sys

from .pages import ROOT


def test_the_page_of_the_benchmarks_is_of_their_results():
    check = [sys.executable, "benchmarks/page.py", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or "python benchmarks/page.py writes it again"


def test_what_is_measured_by_default_is_on_the_page():
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    sections = {line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")}
    scripts = {path.stem for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    assert scripts | {"Machine", "Goals"} == sections
