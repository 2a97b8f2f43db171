"""The two metrics as Spaces."""

from __future__ import annotations

from pathlib import Path

from nlp_mixup.metrics import METRICS, metric_path
from nlp_mixup.release.uploading import Upload, check_repo_id


def prepare_metrics(organisation: str) -> list[Upload]:
    """The Spaces ``organisation/ece`` and ``organisation/oe``, for ``evaluate.load("organisation/ece")``.

    Raises:
        ValueError: the organisation is no name on the Hub.
    """
    uploads = []
    for metric in METRICS:
        repo_id = f"{organisation}/{metric}"
        check_repo_id(repo_id)
        root = Path(metric_path(metric))
        paths = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        uploads.append(Upload(repo_id, "space", {path.relative_to(root).as_posix(): path for path in paths}))
    return uploads
