"""The report: one HTML file a person opens offline, written from the files of a run folder alone."""

from morerl.report.write import write_report

__all__ = ["write_report"]
