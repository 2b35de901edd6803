"""One self-contained HTML page of a table and of runs over it."""

from naslib_ecnas.report.page import Page, gather, html, write_page
from naslib_ecnas.report.runs import Finding, Run, find_findings, find_runs, read_run

__all__ = [
    "Finding",
    "Page",
    "Run",
    "find_findings",
    "find_runs",
    "gather",
    "html",
    "read_run",
    "write_page",
]
