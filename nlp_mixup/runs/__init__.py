"""A recipe -> runs in a results folder, which can be stopped and resumed, and the numbers that they store.

What trains is loaded when it is first used: reading a results folder needs no model.
"""

from typing import TYPE_CHECKING

from nlp_mixup import lazily
from nlp_mixup.runs.public_record import RunRecord, interval_of, read_record, scored_record
from nlp_mixup.runs.public_settings import BUILT_IN, HUB_ID, is_hub_id
from nlp_mixup.runs.results import PLACES, Results, read_results, write_results
from nlp_mixup.runs.scoring import RAW, TEMPERATURE, draws_of_logits, score_run, stored_draws
from nlp_mixup.runs.stored import (
    FORMAT,
    FREE_SETTINGS,
    StoredRun,
    differing_settings,
    installed_versions,
    read_run,
    write_run,
)

if TYPE_CHECKING:
    from nlp_mixup.runs.epochs import quiet
    from nlp_mixup.runs.prepared import Prepared, prepare
    from nlp_mixup.runs.probe import Probe, check_same_model, probe_of, read_probe, read_rows_again
    from nlp_mixup.runs.run import Run

__all__ = [
    "BUILT_IN",
    "FORMAT",
    "FREE_SETTINGS",
    "HUB_ID",
    "PLACES",
    "RAW",
    "TEMPERATURE",
    "Prepared",
    "Probe",
    "Results",
    "Run",
    "RunRecord",
    "StoredRun",
    "check_same_model",
    "differing_settings",
    "draws_of_logits",
    "installed_versions",
    "interval_of",
    "is_hub_id",
    "prepare",
    "probe_of",
    "quiet",
    "read_probe",
    "read_record",
    "read_results",
    "read_rows_again",
    "read_run",
    "score_run",
    "scored_record",
    "stored_draws",
    "write_results",
    "write_run",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "nlp_mixup.runs.epochs": ("quiet",),
        "nlp_mixup.runs.prepared": ("Prepared", "prepare"),
        "nlp_mixup.runs.probe": ("Probe", "check_same_model", "probe_of", "read_probe", "read_rows_again"),
        "nlp_mixup.runs.run": ("Run",),
    },
)
