"""What do the results of the benchmarks say, on one page?

    python benchmarks/page.py [--check]

Writes `docs/benchmarks.md` from `results/*.json`, in the words of the scripts that measure. `--check` writes
nothing, and fails if the page says something else than the results.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from _measure import DOCS, RESULTS, Goal, Shown, captured, shown

SCRIPTS = (
    "remember", "recall", "large_tenant", "facts", "fact_reads", "working", "footprint", "tenants",
    "growth", "soak", "peers", "locomo",
)  # fmt: skip
PAGE = DOCS / "benchmarks.md"
BEGINNING = """\
# Benchmarks

Ratios count here, not rates: ours and the floor take turns in one run, after a round that warms up, and a
ratio is of one round, so that what a busy machine does to one it does to the other as well. Figures are
medians of the rounds, with the lowest and the highest. A floor is the least that could do the work, by hand,
on the bare driver. What a run stores is checked within it.

`python3 noxfile.py bench` measures all of this again and writes this page; `bench -- recall` one of them, and
`bench -- --quick` smaller ones. The scripts, their results and the plans of statements are in `benchmarks/`.
"""


def page() -> str:
    records = {name: json.loads(path.read_text()) for name in SCRIPTS if (path := _path(name)).exists()}
    modules = {name: import_module(name) for name in records}
    goals = [
        (goal, records[name]["results"])
        for name, module in modules.items()
        for goal in getattr(module, "GOALS", ())
    ]
    parts = [BEGINNING, *machine(records), "## Goals\n", *of_goals(goals)]
    for name, record in records.items():
        parts += [f"## {name}\n", *of_script(modules[name], record)]
    return "\n".join(parts)


def _path(name: str) -> Any:
    return RESULTS / f"{name}.json"


def machine(records: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was measured on: once, and by script only where they do not agree."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, record in records.items():
        here = record["environment"]
        machine = f"{here['cpu']}, {here['cores']} cores, Python {here['python']}"
        for what, version in {"": machine, **here["packages"], **here["servers"]}.items():
            found.setdefault(what, {}).setdefault(f"{what} {version}".strip(), []).append(name)
    yield "## Machine\n"
    yield f"{'; '.join(next(iter(texts)) for texts in found.values() if len(texts) == 1)}.\n"
    several = [texts for texts in found.values() if len(texts) > 1]
    yield from (f"* {text}: {', '.join(names)}" for texts in several for text, names in texts.items())
    yield from [""] if several else []


def figure(goal: Goal, results: Any) -> Any:
    """Return what was measured of a goal; None if the run left it out."""
    for name in goal.figure:
        results = results.get(name)
        if results is None:
            return None
    return results


def of_goals(goals: Sequence[tuple[Goal, Any]]) -> Iterator[str]:
    rows: list[tuple[str, ...]] = []
    bounds: dict[str, list[str]] = {}
    for goal, results in goals:
        value = figure(goal, results)
        if value is None:
            rows.append((goal.what, goal.floor, goal.wanted, "", "not measured"))
            continue
        median = value["median"] if isinstance(value, dict) else value
        worded = shown(value, goal.unit) if isinstance(value, dict) else f"{value:,g}{goal.unit}"
        rows.append((goal.what, goal.floor, goal.wanted, worded, "yes" if goal.met(median) else "**no**"))
        if not goal.met(median) and goal.bound:
            bounds.setdefault(goal.bound, []).append(goal.what)
    yield table(("what", "floor", "goal", "measured", "met"), rows)
    if bounds:
        yield "What bounds those that are not met:\n"
        yield from (f"* {'; '.join(whats)}. {bound}" for bound, whats in bounds.items())
        yield ""


def of_script(module: Any, record: Mapping[str, Any]) -> Iterator[str]:
    question, here = module.__doc__.partition("\n")[0], record["environment"]
    changed = " and changes" if here["changed_since"] else ""
    took = f", in {record['seconds']:,} s" if "seconds" in record else ""
    given = " ".join(f"--{name} {value}" for name, value in record.get("options", {}).items())
    given = f", `{given.replace('--quick True', '--quick')}`" if given else ""
    yield f"{question}\n"
    with captured() as tables:
        module.report(record["results"])
    yield from map(of_table, tables)
    for name, words in getattr(module, "PICTURES", {}).items():
        if (DOCS / name).exists():
            yield f"![{words}]({name})\n"
    yield f"Measured on {here['at']} at commit {here['commit']}{changed}{given}{took}.\n"


def of_table(found: Shown) -> str:
    title, header, rows = found
    return f"**{title}**\n\n{table(header, rows)}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    columns = [[cell for cell in column if cell] for column in zip(*rows, strict=True)]
    sides = ["---:" if all(cell[0].isdigit() for cell in column) else "---" for column in columns]
    lines = [header, sides, *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> int:
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
