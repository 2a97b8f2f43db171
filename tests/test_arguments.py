"""The settings: what a checkpoint of an earlier version pickled is still found."""

import io
import pickle

import torch

from nlp_mixup import MixupTrainingArguments


def test_a_checkpoints_arguments_are_found_where_earlier_versions_had_the_class(tmp_path):
    """training_args.bin names the class by its module, which was nlp_mixup.arguments."""
    args = MixupTrainingArguments(output_dir=str(tmp_path), mixup_alpha=0.4, mixup_level="hidden", mixup_layer=[2])
    here = MixupTrainingArguments.__module__.encode()
    pickled = pickle.dumps(args, protocol=0)  # the protocol that has no lengths before its names
    assert pickled.count(here) == 1
    older = pickle.loads(pickled.replace(here, b"nlp_mixup.arguments"))
    assert type(older) is MixupTrainingArguments
    assert older.to_dict() == args.to_dict()


def test_arguments_come_back_from_a_checkpoint(tmp_path):
    args, file = MixupTrainingArguments(output_dir=str(tmp_path), mixup_alpha=0.4), io.BytesIO()
    torch.save(args, file)
    file.seek(0)
    assert torch.load(file, weights_only=False).to_dict() == args.to_dict()
