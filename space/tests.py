"""Worked cases of this Space; ``python tests.py`` runs them through evaluate.load on this folder."""

from typing import Any

test_cases: list[dict[str, Any]] = [
    {  # one bin holds both rows: confidence .9, accuracy .5
        "predictions": [[0.1, 0.9], [0.1, 0.9]],
        "references": [1, 0],
        "result": {"ece": 0.4, "oe": 0.36},
    },
    {  # every row right at confidence .75: under-confident by .25
        "predictions": [[0.25, 0.75], [0.75, 0.25]],
        "references": [1, 0],
        "result": {"ece": 0.25, "oe": 0.0},
    },
    {  # certain and wrong
        "predictions": [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]],
        "references": [0, 0],
        "result": {"ece": 1.0, "oe": 1.0},
    },
    {  # certain and right
        "predictions": [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]],
        "references": [2, 1],
        "result": {"ece": 0.0, "oe": 0.0},
    },
]


def run(metric):
    """Raises AssertionError for the first case whose score is off by more than 1e-12."""
    for case in test_cases:
        result = metric.compute(predictions=case["predictions"], references=case["references"])
        for name, value in result.items():
            if not abs(value - case["result"][name]) < 1e-12:
                raise AssertionError(f"{case}: got {result}")


if __name__ == "__main__":
    import pathlib

    import evaluate

    here = pathlib.Path(__file__).resolve().parent
    run(evaluate.load(str(next(here / f"{name}.py" for name in ("ece", "oe") if (here / f"{name}.py").is_file()))))
    print(f"{len(test_cases)} cases passed")
