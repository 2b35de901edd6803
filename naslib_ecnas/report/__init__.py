"""One self-contained HTML page of a table and of runs over it."""

from naslib_ecnas.report.page import Page, gather
from naslib_ecnas.report.runs import Run, find_runs, read_run
from naslib_ecnas.report.write import html, write_page

__all__ = ["Page", "Run", "find_runs", "gather", "html", "read_run", "write_page"]
