"""The report: one self-contained HTML page of one or several runs, and the same as Markdown, CSV and JUnit."""
