"""Plant one fault after the other in a copy of the package: each has to make a test fail.

`python tests/plant_faults.py [words of a name]`; says which test noticed, and fails if one fault survives.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from planted_faults import FAULTS, Fault

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "recollect"
FAILED = re.compile(r"^(?:FAILED|ERROR) \S*?::(\w+)", re.MULTILINE)
SECONDS = 300

# That a test fails is enough: nobody reads the smallest example. And what is found today is found tomorrow.
PROFILE = """
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "planted",
    phases=[Phase.explicit, Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
"""


def plant(fault: Fault, directory: Path) -> None:
    """Copy the package, with the fault."""
    shutil.copytree(PACKAGE, directory / "recollect", ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "planted_profile.py").write_text(PROFILE)
    file = directory / "recollect" / fault.file
    text = file.read_text()
    count = text.count(fault.old)
    if count != 1:
        sys.exit(f"{fault.name!r}: what it replaces occurs {count} times in {fault.file}; it has to be once")
    file.write_text(text.replace(fault.old, fault.new))


def noticed(fault: Fault) -> tuple[str | None, float]:
    """Return the test that fails with a fault, None if all pass, and the seconds it took."""
    with tempfile.TemporaryDirectory(prefix="recollect-faults-") as name:
        directory = Path(name)
        plant(fault, directory)
        environment = {**os.environ, "PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [
            sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider",
            "-p", "planted_profile", "--hypothesis-profile=planted", *fault.tests.split(),
        ]  # fmt: skip
        began = time.monotonic()
        try:
            run = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "(it never ends)", time.monotonic() - began
        seconds = time.monotonic() - began
    if run.returncode == 0:
        return None, seconds
    found = FAILED.search(run.stdout)
    if run.returncode != 1 or found is None:
        sys.exit(f"{fault.name!r}: pytest ended with {run.returncode}\n{run.stdout}{run.stderr}")
    return found[1], seconds


def main(words: list[str]) -> int:
    chosen = [fault for fault in FAULTS if all(word in fault.name for word in words)]
    survivors = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for fault, (test, seconds) in zip(chosen, pool.map(noticed, chosen), strict=True):
            survivors += test is None
            sys.stdout.write(f"{fault.name:<55} {test or 'SURVIVED'}  ({seconds:.0f} s)\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen)} faults, {survivors} survived\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
