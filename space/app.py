"""The Space's page: type probabilities and labels as JSON, read the score."""

import json
from pathlib import Path

import evaluate
import gradio

HERE = Path(__file__).resolve().parent
NAME = next(name for name in ("ece", "oe") if (HERE / f"{name}.py").is_file())
metric = evaluate.load(str(HERE / f"{NAME}.py"))


def score(predictions, references, n_bins):
    """The metric's dictionary, or what is wrong with the input."""
    try:
        return json.dumps(
            metric.compute(predictions=json.loads(predictions), references=json.loads(references), n_bins=int(n_bins))
        )
    except ValueError as error:
        return str(error)


page = gradio.Interface(
    fn=score,
    inputs=[
        gradio.Textbox("[[0.1, 0.9], [0.1, 0.9]]", label="predictions: rows of probabilities, as JSON"),
        gradio.Textbox("[1, 0]", label="references: class indices, as JSON"),
        gradio.Slider(1, 100, value=15, step=1, label="n_bins"),
    ],
    outputs=gradio.Textbox(label="result"),
    title=f"{metric.description.strip().partition(':')[0]} ({NAME.upper()})",
    description=metric.description,
)

if __name__ == "__main__":
    page.launch()
