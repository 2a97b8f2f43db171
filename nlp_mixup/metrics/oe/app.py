"""The Space's page: type probabilities and labels as JSON, read the score."""

import json
import pathlib

import evaluate
import gradio

metric = evaluate.load(str(pathlib.Path(__file__).resolve().with_name("oe.py")))


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
    title="Overconfidence error (OE)",
    description=metric.description,
)

if __name__ == "__main__":
    page.launch()
