"""A stopped run goes on from the newest checkpoint that was saved whole."""

from nlp_mixup.runs.checkpoints import last_complete_checkpoint


def test_a_half_written_checkpoint_is_passed_over(tmp_path):
    for step, complete in ((5, True), (10, True), (15, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in ("model.safetensors", "optimizer.pt", "scheduler.pt"):
            (folder / name).touch()
        if complete:
            (folder / "trainer_state.json").write_text("{}")
    assert last_complete_checkpoint(tmp_path).endswith("checkpoint-10")
    (tmp_path / "checkpoint-15" / "trainer_state.json").touch()  # opened, not yet written
    assert last_complete_checkpoint(tmp_path).endswith("checkpoint-10")
    (tmp_path / "checkpoint-10" / "model.safetensors").unlink()  # half deleted
    assert last_complete_checkpoint(tmp_path).endswith("checkpoint-5")
    assert last_complete_checkpoint(tmp_path / "nothing") is None
