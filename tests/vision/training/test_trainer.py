"""The image trainer against a plain PyTorch loop that replays the recorded pairs."""

import copy
import dataclasses
import itertools

import pytest
import torch
import torch.nn.functional as F
from conftest import stock_arguments, tiny_model, training_arguments
from recorded_training import Recorder, Rows, Stop
from tiny_image_models import image_rows, replay_images, tiny_image_classifier, tiny_images
from transformers import Trainer

from nlp_mixup import MixupTrainer
from nlp_mixup.mixing.draw import draw_mix
from nlp_mixup.vision import ImageMixupTrainer
from nlp_mixup.vision.data.augmentation import Augmenter
from nlp_mixup.vision.mixing.draw import draw_cut_mix

TYPES = ["vit", "swin", "convnext", "resnet", "resnet_small_image", "vgg"]


def train(folder, model, batch, cls=ImageMixupTrainer, **settings):
    """Trains a copy of the model on the rows of a batch; returns the trainer with `.gradients` and `.pairings`."""
    recorder = Recorder()
    args = training_arguments(folder, **settings)
    if cls is Trainer:
        args = stock_arguments(args)
    model = copy.deepcopy(model)
    freeze_again(model)
    trainer = cls(model=model, args=args, train_dataset=image_rows(batch), callbacks=[recorder])
    trainer.pairings = []
    if cls is not Trainer:
        pair = trainer.pair
        trainer.pair = lambda batches: trainer.pairings.append(pair(batches)) or trainer.pairings[-1]
    trainer.train()
    trainer.gradients = recorder.gradients
    return trainer


def freeze_again(model):
    """A copy of a frozen BatchNorm keeps its statistics and is told anew not to leave eval mode."""
    for module in model.modules():
        if "train" in module.__dict__:
            module.eval()


@pytest.mark.parametrize(
    ("model_type", "pixels", "lambda_per"),
    [
        *((model_type, pixels, "example") for model_type in TYPES for pixels in ("mixup", "cutmix")),
        *(("vit", pixels, "batch") for pixels in ("mixup", "cutmix")),
    ],
)
def test_accumulated_gradient_equals_the_replayed_reference(tmp_path, model_type, pixels, lambda_per):
    """7 rows in micro-batches of 2, 2, 2 and 1: partners come from all of them."""
    model = tiny_image_classifier(model_type)
    batch = tiny_images(model, n=7)
    trainer = train(
        tmp_path, model, batch, mixup_alpha=0.8, mixup_pixels=pixels, mixup_lambda_per=lambda_per,
        per_device_train_batch_size=2, gradient_accumulation_steps=4, num_train_epochs=1,
    )  # fmt: skip
    ((first, *_),) = trainer.pairings
    assert (first.mix.partners[:2] > 1).any()
    wanted = replay_images(model, batch, first.mix)
    torch.testing.assert_close(trainer.gradients[0] / wanted.norm(), wanted / wanted.norm(), atol=1e-5, rtol=1e-5)


def test_alpha_zero_is_the_stock_trainer_without_accumulation(tmp_path):
    model = tiny_image_classifier("vit")
    batch = tiny_images(model, n=8)
    ours = train(tmp_path, model, batch, mixup_alpha=0.0, num_train_epochs=2)
    stock = train(tmp_path, model, batch, cls=Trainer, num_train_epochs=2)
    assert len(ours.gradients) == len(stock.gradients) == 4
    for mine, theirs in zip(ours.gradients, stock.gradients, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("pixels", ["mixup", "cutmix"])
@pytest.mark.parametrize("mode", ["inputs_only", "labels_only"])
def test_modes_equal_the_replayed_reference(tmp_path, mode, pixels):
    model = tiny_image_classifier("vit")
    batch = tiny_images(model, n=8)
    trainer = train(
        tmp_path, model, batch, mixup_alpha=1.0, mixup_mode=mode, mixup_pixels=pixels, mixup_lambda_per="example",
        num_train_epochs=1, seed=3, per_device_train_batch_size=8,
    )  # fmt: skip
    mix = trainer.pairings[0][0].mix
    assert set((mix.label_lam if mode == "inputs_only" else mix.lam).tolist()) == {0.0, 1.0}
    torch.testing.assert_close(trainer.gradients[0], replay_images(model, batch, mix), atol=1e-5, rtol=1e-5)


def test_clean_weight_adds_the_clean_loss(tmp_path):
    model = tiny_image_classifier("vit")
    batch = tiny_images(model, n=4)
    trainer = train(tmp_path, model, batch, mixup_alpha=1.0, mixup_clean_weight=3.0, num_train_epochs=1)
    mixed = replay_images(model, batch, trainer.pairings[0][0].mix)
    wanted = (mixed + 3 * replay_images(model, batch, None)) / 4
    torch.testing.assert_close(trainer.gradients[0], wanted, atol=1e-5, rtol=1e-5)


def test_sentence_level_is_interpolation_of_logits(tmp_path):
    model = tiny_image_classifier("vit")
    batch = tiny_images(model, n=4)
    trainer = train(tmp_path, model, batch, mixup_alpha=1.0, mixup_level="sentence", num_train_epochs=1)
    mix, model = trainer.pairings[0][0].mix, copy.deepcopy(model).train()
    logits = model(pixel_values=batch["pixel_values"]).logits
    lam, hard = mix.lam[:, None], F.one_hot(batch["labels"], 3).float()
    mixed, targets = (lam * t + (1 - lam) * t[mix.partners] for t in (logits, hard))
    F.cross_entropy(mixed, targets).backward()
    wanted = torch.cat([p.grad.flatten() for p in model.parameters()])
    torch.testing.assert_close(trainer.gradients[0], wanted, atol=1e-5, rtol=1e-5)


def test_hidden_level_equals_a_forward_pass_written_out(tmp_path):
    """A ResNet stage by stage: the output of the first stage mixed, then the second, pooling and head."""
    model = tiny_image_classifier("resnet")
    batch = tiny_images(model, n=4)
    trainer = train(tmp_path, model, batch, mixup_alpha=1.0, mixup_level="hidden", mixup_layer=[1], num_train_epochs=1)
    mix, model = trainer.pairings[0][0].mix, copy.deepcopy(model).train()
    freeze_again(model)
    resnet = model.resnet
    hidden = resnet.encoder.stages[0](resnet.embedder(batch["pixel_values"]))
    lam = mix.lam[:, None, None, None]
    hidden = resnet.encoder.stages[1](lam * hidden + (1 - lam) * hidden[mix.partners])
    logits = model.classifier(resnet.pooler(hidden))
    hard, share = F.one_hot(batch["labels"], 3).float(), mix.label_lam[:, None]
    F.cross_entropy(logits, share * hard + (1 - share) * hard[mix.partners]).backward()
    wanted = torch.cat([p.grad.flatten() for p in model.parameters()])
    torch.testing.assert_close(trainer.gradients[0], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model_type", ["vit", "resnet_small_image", "vgg"])
def test_labels_never_reach_the_model_and_its_configuration_stays(tmp_path, model_type):
    model = tiny_image_classifier(model_type)
    seen, forward = [], type(model).forward

    class Watched(type(model)):
        def forward(self, pixel_values=None, labels=None, **kwargs):
            seen.append(labels)
            return forward(self, pixel_values=pixel_values, **kwargs)

    model.__class__ = Watched
    trainer = train(tmp_path, model, tiny_images(model), mixup_alpha=1.0, num_train_epochs=2)
    assert len(seen) == 2
    assert set(seen) == {None}
    assert trainer.model.config.problem_type == "single_label_classification"


def test_a_step_keeps_no_more_for_backward_than_without_mixup(tmp_path):
    model = tiny_image_classifier("resnet_small_image")
    batch = tiny_images(model, n=8)

    def saved_bytes(alpha, **settings):
        args = training_arguments(tmp_path, mixup_alpha=alpha, per_device_train_batch_size=8, **settings)
        trainer = ImageMixupTrainer(model=model, args=args, train_dataset=image_rows(batch))
        trainer.create_optimizer()
        trainer.current_gradient_accumulation_steps = 1
        saved = {}

        def pack(tensor):
            saved[tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            trainer.training_step(trainer.model, dict(batch), torch.tensor(8))
        return sum(saved.values())

    plain = saved_bytes(0.0)
    for settings in ({}, {"mixup_pixels": "cutmix"}):
        # lambda and its complement, 8 numbers each, of which a second copy of the 24,576 pixels would be 98,304 bytes.
        assert 0 <= saved_bytes(0.4, **settings) - plain <= 256


def test_pairs_are_those_of_the_text_side(tmp_path):
    """Same seed, rows and step: the same partners and lambdas, whatever is mixed."""
    from conftest import PadCollator, tiny_dataset

    model = tiny_image_classifier("vit")
    images = train(tmp_path, model, tiny_images(model, n=8), mixup_alpha=0.4, num_train_epochs=1)
    args = training_arguments(tmp_path, mixup_alpha=0.4, num_train_epochs=1)
    texts = MixupTrainer(model=tiny_model(), args=args, train_dataset=tiny_dataset(8), data_collator=PadCollator())
    texts.state.global_step = 1
    rows = [tiny_dataset(8)[row] for row in range(4)]
    (pairing,) = texts.pair([PadCollator()(rows)])
    assert torch.equal(images.pairings[1][0].mix.partners, pairing.mix.partners)
    assert torch.equal(images.pairings[1][0].mix.lam, pairing.mix.lam)


@pytest.mark.parametrize("pixels", ["mixup", "cutmix"])
def test_pairs_follow_the_step_and_the_settings_of_the_moment(tmp_path, pixels):
    """Steps on both sides of a block of draws, forwards and back, settings that change on the way, images not square."""
    model = tiny_image_classifier("resnet")
    args = training_arguments(tmp_path, mixup_alpha=0.4, mixup_pixels=pixels, seed=7)
    trainer = ImageMixupTrainer(model=model, args=args)
    batch = {"pixel_values": torch.randn(6, 3, 20, 12), "labels": torch.zeros(6, dtype=torch.int64)}
    for step, alpha, mode in [(0, 0.4, "full"), (15, 0.4, "full"), (16, 0.4, "full"), (17, 1.0, "full"),
                              (40, 1.0, "inputs_only"), (15, 1.0, "full"), (0, 0.4, "full")]:  # fmt: skip
        trainer.state.global_step, args.mixup_alpha, args.mixup_mode = step, alpha, mode
        if pixels == "mixup":
            wanted = draw_mix(6, alpha, seed=7, step=step, mode=mode)
        else:
            wanted = draw_cut_mix(6, alpha, (20, 12), seed=7, step=step, mode=mode)
        (pairing,) = trainer.pair([batch])
        for field in dataclasses.fields(wanted):
            assert torch.equal(getattr(pairing.mix, field.name), getattr(wanted, field.name))


def test_nan_pixels_are_refused_before_the_first_step(tmp_path):
    model = tiny_image_classifier("vit")
    batch = tiny_images(model)
    batch["pixel_values"][2, 0, 3, 3] = float("nan")
    with pytest.raises(ValueError, match=r"pixel_values of row 2 of a batch at step 0 are not all finite"):
        train(tmp_path, model, batch, mixup_alpha=0.4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_finite_pixels_are_accepted_though_their_sum_is_not_finite(tmp_path, dtype):
    model = tiny_image_classifier("vit")
    batch = tiny_images(model)
    batch["pixel_values"] = torch.full_like(batch["pixel_values"], torch.finfo(dtype).max, dtype=dtype)
    trainer = ImageMixupTrainer(
        model=model, args=training_arguments(tmp_path, mixup_alpha=0.4), train_dataset=image_rows(batch)
    )
    assert batch["pixel_values"].sum().isinf()
    trainer.pair([batch])


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range_are_refused_before_the_first_step(tmp_path, label):
    model = tiny_image_classifier("vit")
    batch = tiny_images(model)
    batch["labels"][1] = label
    with pytest.raises(ValueError, match=rf"Label {label} is outside the model's classes 0 to 2"):
        train(tmp_path, model, batch, mixup_alpha=0.4)


def test_text_models_and_refused_types_are_named(tmp_path):
    args = training_arguments(tmp_path, mixup_alpha=0.4)
    with pytest.raises(ValueError, match=r"BertForSequenceClassification reads input_ids, not pixel_values"):
        ImageMixupTrainer(model=tiny_model(), args=args)
    with pytest.raises(ValueError, match=r"For images: from nlp_mixup.vision import ImageMixupTrainer"):
        MixupTrainer(model=tiny_image_classifier("resnet"), args=args)
    args = training_arguments(tmp_path, mixup_alpha=0.4, mixup_level="hidden", mixup_layer=[1])
    with pytest.raises(ValueError, match=r"Model type 'pvt' cannot be mixed at mixup_level='hidden'"):
        ImageMixupTrainer(model=tiny_image_classifier("pvt"), args=args)


def test_cutmix_needs_the_level_of_the_pixels(tmp_path):
    with pytest.raises(ValueError, match=r"mixup_pixels='cutmix' pastes pixels, so it needs mixup_level='embedding'"):
        training_arguments(tmp_path, mixup_pixels="cutmix", mixup_level="sentence")


def test_batch_statistics_make_micro_batches_differ_from_the_big_batch(tmp_path):
    """Said in the documentation: BatchNorm's own statistics are of the micro-batch, with mixup and without."""
    model = tiny_image_classifier("resnet")
    for module in model.modules():
        module.__dict__.pop("train", None)
    batch = tiny_images(model, n=8)
    big, small = (
        train(
            tmp_path, model, batch, max_steps=1, per_device_train_batch_size=size, gradient_accumulation_steps=8 // size
        )
        for size in (8, 2)
    )
    assert (big.gradients[0] - small.gradients[0]).norm() > 0.01 * big.gradients[0].norm()


def test_learning_rate_milestones(tmp_path):
    """Halved at 3 and 6 of 10 steps, after a warm-up over 1."""
    model = tiny_image_classifier("vit")
    rates = []
    args = training_arguments(
        tmp_path, max_steps=10, lr_milestones=[0.3, 0.6], lr_milestone_factor=0.5, learning_rate=0.8, warmup_steps=1
    )
    trainer = ImageMixupTrainer(model=model, args=args, train_dataset=image_rows(tiny_images(model)))
    trainer.create_optimizer_and_scheduler(num_training_steps=10)
    for _ in range(10):
        rates.append(trainer.optimizer.param_groups[0]["lr"])
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
    assert rates == pytest.approx([0.4, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2])
    with pytest.raises(
        ValueError, match=r"lr_milestones are shares of the training run, between 0 and 1, got \[60.0\]"
    ):
        training_arguments(tmp_path, lr_milestones=[60.0])


def test_resumed_in_mid_epoch_equals_uninterrupted_with_augmentation(tmp_path):
    """The data loader reads one batch ahead, so draws while reading would not be those of an uninterrupted run."""
    model = tiny_image_classifier("vit")
    rows = image_rows(tiny_images(model, n=12))
    settings = {
        "mixup_alpha": 0.4, "num_train_epochs": 2, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2,
        "save_strategy": "steps", "save_steps": 2, "train_sampling_strategy": "random",
    }  # fmt: skip

    def trained(folder, *callbacks, checkpoint=None):
        recorder = Recorder()
        trainer = ImageMixupTrainer(
            model=copy.deepcopy(model), args=training_arguments(tmp_path / folder, **settings), train_dataset=rows,
            callbacks=[recorder, *callbacks], augmenter=Augmenter("pad-crop-flip", (-1.0, -1.0, -1.0)),
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=checkpoint)
        return trainer.model, recorder.gradients

    whole, gradients = trained("whole")
    with pytest.raises(KeyboardInterrupt):
        trained("cut", Stop(3))
    resumed, rest = trained("cut", checkpoint=str(tmp_path / "cut" / "checkpoint-2"))
    assert len(gradients) == 6
    assert len(rest) == 4
    for mine, theirs in zip(rest, gradients[2:], strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)
    for mine, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


def test_processes_augment_apart(tmp_path):
    trainer = ImageMixupTrainer(
        model=tiny_image_classifier("vit"), args=training_arguments(tmp_path), augmenter=Augmenter("flip", (0.0,) * 3)
    )
    batch = tiny_images(trainer.model, n=32)
    coordinates, seen = trainer._coordinates, []
    for rank in (0, 1):
        trainer._coordinates = lambda micro_step, rank=rank: coordinates(micro_step) | {"rank": rank}
        seen.append(trainer._augmented([batch, batch]))
    images = [batch["pixel_values"] for batches in seen for batch in batches]
    assert not any(torch.equal(first, other) for first, other in itertools.combinations(images, 2))


def test_the_best_weights_of_a_renamed_type_are_loaded(tmp_path):
    """transformers saves a ViT under the names of an older format, which the Trainer then reads as missing weights."""
    model = tiny_image_classifier("vit")
    rows = image_rows(tiny_images(model, n=8))
    args = training_arguments(
        tmp_path, num_train_epochs=2, eval_strategy="epoch", save_strategy="epoch", load_best_model_at_end=True,
        metric_for_best_model="eval_first", greater_is_better=True,
    )  # fmt: skip
    after_epoch = []

    def first_epoch_is_best(_):
        after_epoch.append(copy.deepcopy(trainer.model.state_dict()))
        return {"first": -len(after_epoch)}

    trainer = ImageMixupTrainer(
        model=copy.deepcopy(model),
        args=args,
        train_dataset=rows,
        eval_dataset=rows,
        compute_metrics=first_epoch_is_best,
    )
    trainer.train()
    for name, weight in trainer.model.state_dict().items():
        torch.testing.assert_close(weight, after_epoch[0][name], atol=0, rtol=0)
    again = type(model).from_pretrained(tmp_path / "checkpoint-2")
    torch.testing.assert_close(again.state_dict(), after_epoch[0], atol=0, rtol=0)


def test_other_inputs_are_refused_only_where_pixels_are_mixed(tmp_path):
    """mixup_alpha=0 is what the message advises."""
    model = tiny_image_classifier("vit")
    rows = [row | {"bool_masked_pos": torch.zeros(1)} for row in image_rows(tiny_images(model, n=4))]
    for settings in ({"mixup_alpha": 0.0}, {"mixup_alpha": 0.4, "mixup_level": "sentence"}):
        trainer = ImageMixupTrainer(model=model, args=training_arguments(tmp_path, **settings), train_dataset=rows)
        batch = {name: torch.stack([torch.as_tensor(row[name]) for row in rows]) for name in rows[0]}
        trainer.pair([batch])
    trainer = ImageMixupTrainer(model=model, args=training_arguments(tmp_path, mixup_alpha=0.4), train_dataset=rows)
    with pytest.raises(
        ValueError, match=r"would mix the pixels but not bool_masked_pos. Leave it out, or set mixup_alpha=0"
    ):
        trainer.pair([batch])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("pixels", r"pixel_values of row 1 of a batch at step 1 are not all finite"),
        ("label", r"Label 3 is outside the model's classes 0 to 2"),
    ],
)
@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_rows_of_later_batches_are_checked(tmp_path, what, message, alpha):
    """No step is taken on them."""
    model = tiny_image_classifier("vit")
    batch = tiny_images(model, n=8)
    if what == "pixels":
        batch["pixel_values"][5, 0, 3, 3] = float("nan")
    else:
        batch["labels"][5] = 3
    trainer = ImageMixupTrainer(
        model=model, args=training_arguments(tmp_path, mixup_alpha=alpha), train_dataset=Rows(image_rows(batch))
    )
    with pytest.raises(ValueError, match=message):
        trainer.train()
    assert trainer.state.global_step == 1


def test_accumulation_keeps_the_pixels_of_a_step_once(tmp_path):
    model = tiny_image_classifier("vit")
    trainer = ImageMixupTrainer(model=model, args=training_arguments(tmp_path, mixup_alpha=0.4))
    images = tiny_images(model, n=6)
    batches = [{name: value[start : start + 2].clone() for name, value in images.items()} for start in (0, 2, 4)]
    pairings = trainer.pair(batches)
    storages = {tensor.untyped_storage().data_ptr() for tensor in (*(b["pixel_values"] for b in batches),
                *(pairing.inputs["pixel_values"] for pairing in pairings))}  # fmt: skip
    assert len(storages) == 1
    assert torch.equal(torch.cat([batch["pixel_values"] for batch in batches]), images["pixel_values"])
    trained = train(tmp_path, model, images, mixup_alpha=0.4, num_train_epochs=1)
    assert trained._pairings == []
