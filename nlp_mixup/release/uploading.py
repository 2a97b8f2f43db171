"""Files for one repository on the Hub, uploaded all or none.

The token comes from the environment (HF_TOKEN) or from ``hf auth login``; it goes into requests and nowhere else. One
commit holds exactly the files that were listed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.utils import validate_repo_id

from nlp_mixup.runs import HUB_ID

ATTEMPTS, FIRST_WAIT = 3, 1.0
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


Result = TypeVar("Result")


class UploadError(OSError):
    """An upload that did not finish, in one line that says how to go on."""


@dataclass(frozen=True)
class Upload:
    """Files for one repository, by the names they will have there.

    Args:
        repo_id: ``owner/name``.
        repo_type: ``model`` or ``space``.
        files: name in the repository -> local file.
        note: what a user should know of them, in one line.
    """

    repo_id: str
    repo_type: str
    files: dict[str, Path]
    note: str = ""

    def __str__(self) -> str:
        """One line per file, with its size."""
        sizes = {name: f"{path.stat().st_size:,}" for name, path in sorted(self.files.items())}
        width = max(map(len, sizes.values()))
        lines = [
            f"{self.repo_type} {self.repo_id}:",
            *(f"  {size:>{width}} bytes  {name}" for name, size in sizes.items()),
        ]
        return "\n".join([*lines, *([self.note] if self.note else [])])


def upload(
    plan: Upload,
    *,
    private: bool | None = None,
    revision: str | None = None,
    token: str | None = None,
    message: str = "",
) -> CommitInfo:
    """Makes the repository if it is not there, and commits the plan's files, all or none.

    What a busy or broken server refuses for the moment is tried again; files that it has already are not sent twice.

    Args:
        plan: what to upload.
        private: whether a new repository is private; an existing one stays as it is, and a public one is refused where a
            private one is asked for.
        revision: branch to commit to; made if it is not there.
        token: instead of the environment's or the stored one.
        message: of the commit.

    Returns:
        What the Hub says of the commit, its address among it.

    Raises:
        ValueError: there is no token, or it stands in one of the files, or the repository is public and may not be.
        UploadError: the Hub refused, or could not be reached; no local file is changed.
    """
    token = token or get_token()
    if token is None:
        raise ValueError(
            "There is no token for the Hub. Type: hf auth login, or set the environment variable HF_TOKEN."
        )
    _check_no_secret(plan, token)
    api = HfApi(token=token)

    def make_repository() -> None:
        sdk = "gradio" if plan.repo_type == "space" else None
        api.create_repo(plan.repo_id, repo_type=plan.repo_type, private=private, exist_ok=True, space_sdk=sdk)

    def make_branch() -> None:
        api.create_branch(plan.repo_id, repo_type=plan.repo_type, branch=str(revision), exist_ok=True)

    def commit() -> CommitInfo:
        operations = [CommitOperationAdd(name, str(path)) for name, path in sorted(plan.files.items())]
        return api.create_commit(
            plan.repo_id,
            operations,
            commit_message=message or "Upload by nlp-mixup push",
            repo_type=plan.repo_type,
            revision=revision,
        )

    def is_public() -> bool:
        return not api.repo_info(plan.repo_id, repo_type=plan.repo_type).private

    _with_retries(plan, make_repository)
    if private and _with_retries(plan, is_public):
        raise ValueError(
            f"{plan.repo_id} is on the Hub already, and public: what is uploaded there can be read by anybody. Nothing was "
            "uploaded. Make it private in its settings, choose another name, or push without private."
        )
    if revision is not None:
        _with_retries(plan, make_branch)
    return _with_retries(plan, commit)


def check_repo_id(repo_id: str) -> None:
    """Raises ValueError where a repository cannot be called so.

    >>> check_repo_id("me/my-model")
    """
    if HUB_ID.fullmatch(repo_id) is None:
        raise ValueError(f"REPO_ID must be owner/name, such as me/my-model, got {repo_id!r}.")
    validate_repo_id(repo_id)


def _check_no_secret(plan: Upload, token: str) -> None:
    for name, path in plan.files.items():
        if path.suffix != ".safetensors" and token.encode() in path.read_bytes():
            raise ValueError(f"{path} contains your token for the Hub. Nothing was uploaded; take it out of {name}.")


def _with_retries(plan: Upload, action: Callable[[], Result]) -> Result:
    attempt = 0
    while True:
        attempt += 1
        try:
            return action()
        except (HTTPError, RuntimeError, OSError) as error:
            # The transfer of a single file wraps the request's own error in a RuntimeError.
            cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
            status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else None
            if attempt == ATTEMPTS or not (status is None or status in TRANSIENT):
                raise UploadError(_failure(plan, cause, status)) from error
            time.sleep(FIRST_WAIT * 2 ** (attempt - 1))


def _failure(plan: Upload, error: BaseException, status: int | None) -> str:
    """One line: what happened, what it may be, that nothing is lost, how to go on."""
    first_line = (str(error).splitlines() or [""])[0]
    what = f"the server answered {status}" if status else f"{type(error).__name__}: {first_line}".removesuffix(": ")
    advice = {
        401: "The token is missing, expired or mistyped: hf auth login, or HF_TOKEN",
        403: f"The token may not write to {plan.repo_id}: use one with write access",
        404: f"There is no {plan.repo_id}, or the token may not see it",
        **dict.fromkeys((409, 412), f"{plan.repo_id} is being changed by somebody else, or its name is taken"),
        413: "A file is too large for the Hub",
    }.get(status or 0, "The server may be busy, or the network down")
    return (
        f"The upload to {plan.repo_id} did not finish: {what}. {advice}. Every local file is as it was, and none is on the Hub; "
        "a repository or branch that was just made for them stays there, empty. To go on, run the same command again."
    )
