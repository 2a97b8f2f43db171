"""The two metrics as Spaces."""

from __future__ import annotations

from pathlib import Path

from nlp_mixup.metrics import METRICS, write_space
from nlp_mixup.release.uploading import Upload, check_repo_id


def prepare_metrics(organisation: str, folder: Path) -> list[Upload]:
    """Writes the Spaces ``organisation/ece`` and ``organisation/oe``, for ``evaluate.load("organisation/ece")``.

    Args:
        organisation: or user, on the Hub.
        folder: where they are written, a folder each.

    Raises:
        ValueError: the organisation is no name on the Hub.
    """
    uploads = []
    for metric in METRICS:
        check_repo_id(f"{organisation}/{metric}")
        write_space(metric, folder / metric)
        files = {path.name: path for path in (folder / metric).iterdir()}
        uploads.append(Upload(f"{organisation}/{metric}", "space", files))
    return uploads
