"""Files of generated texts."""

import numpy as np

WORDS = {"good": ["fine", "great", "nice", "superb"], "bad": ["poor", "awful", "dull", "weak"]}


def write_csv(path, n, seed):
    """n short generated texts in two classes; a fifth of the labels are wrong."""
    random = np.random.default_rng(seed)
    lines = ["text,label"]
    for _ in range(n):
        label = random.choice(["good", "bad"])
        words = [*random.choice(WORDS[label], 2), *random.choice(["film", "plot", "a", "the", "very"], 4)]
        random.shuffle(words)
        lines.append(f"{' '.join(words)},{label if random.random() < 0.8 else random.choice(['good', 'bad'])}")
    path.write_text("\n".join(lines) + "\n")
