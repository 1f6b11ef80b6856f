"""Counts by kind of test at the end of a run: unit, system, and, among both, those that give bad input.

A test is one of bad input when its name says that something is refused, or when it is marked `bad_input`.
"""

from collections import Counter, defaultdict

import pytest

OUTCOMES = ("passed", "failed", "error", "skipped")


def kinds_of(report: pytest.TestReport | pytest.CollectReport) -> list[str]:
    """The kinds that a test counts for; a file that cannot be imported counts once, as unit."""
    keywords = report.keywords if isinstance(report, pytest.TestReport) else {}
    is_bad_input = "bad_input" in keywords or "refuse" in report.nodeid.split("::")[-1]
    return ["system" if "system" in keywords else "unit"] + ["bad input"] * is_bad_input


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write one line for each kind."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcome in OUTCOMES:
        for report in terminalreporter.getreports(outcome):
            for kind in kinds_of(report):
                counts[kind][outcome] += 1
    terminalreporter.section("tests by kind (bad input counts within unit and system)")
    for kind in ("unit", "system", "bad input"):
        told = ", ".join(f"{counts[kind][outcome]} {outcome}" for outcome in OUTCOMES if counts[kind][outcome])
        terminalreporter.write_line(f"{kind:<10} {told or 'none'}")
