"""A results folder -> its tables, figures, report.md and report.html."""

from nlp_mixup.reports.comparison import Comparison, Estimate, wider
from nlp_mixup.reports.figures import report_figures
from nlp_mixup.reports.report import print_run, write_report
