"""The settings of the model that training starts from: `ModelArguments`."""

from dataclasses import dataclass, field


@dataclass
class ModelArguments:
    """Which classifier is trained."""

    _argument_group_name = "model"

    model_name_or_path: str = field(
        default="text-cnn",
        metadata={
            "help": "A model on the Hub, a local folder, 'text-cnn' (the paper's sentence CNN, built from the training "
            "text) or 'minilm' (the pretrained encoder of the extra 'minilm')."
        },
    )
    model_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of the Hub model."})
    tokenizer_name: str | None = field(default=None, metadata={"help": "Tokenizer, where it is not the model's own."})
    trust_remote_code: bool = field(
        default=False, metadata={"help": "Run code that the Hub model brings with it. Read it first."}
    )
    min_word_frequency: int = field(
        default=1,
        metadata={"help": "text-cnn: rarer words of the training text share one embedding, the unknown word's."},
    )
    glove_file: str | None = field(
        default=None, metadata={"help": "text-cnn: a GloVe text file whose vectors the embeddings start from."}
    )
    lora_rank: int = field(
        default=0,
        metadata={
            "help": "Train LoRA adapters of this rank on every linear layer, and the head and whatever the checkpoint lacks "
            "whole, instead of all weights; 0 is off. Needs peft."
        },
    )
