"""Which checkpoint a stopped run goes on from: the newest that was saved whole."""

import json
from pathlib import Path


def last_complete_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was saved whole: the Trainer writes trainer_state.json last."""
    complete = [path for path in folder.glob("checkpoint-*") if _is_complete(path)]
    return str(max(complete, key=lambda path: int(path.name.split("-")[1]))) if complete else None


def _is_complete(checkpoint: Path) -> bool:
    """Neither cut short in writing, which ends with trainer_state.json, nor half deleted."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    names = {path.name for path in checkpoint.iterdir()}
    sharded = any(path.is_dir() for path in checkpoint.iterdir())  # FSDP and DeepSpeed save folders
    weights = any(name.endswith((".safetensors", "pytorch_model.bin")) for name in names)
    return sharded or (weights and {"optimizer.pt", "scheduler.pt"} <= names)
