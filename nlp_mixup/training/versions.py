"""What differs between the versions of other libraries that `training` stands on: each with its reason, and where it ends.

This module imports neither torch nor transformers: it refuses before either could fail in its own words.
"""

import re
from importlib.metadata import version

#: The first transformers whose Trainer leaves a loss of one's own as it is. 5.2 to 5.5.3 divide it by the accumulation
#: steps once more (with 4 of them every gradient is a quarter of the right one, without a word); 5.0, 5.1 and 4.x have
#: other methods where this trainer takes hold. It ends with no version: `divisor` checks the later ones as they train.
FIRST_TRANSFORMERS = (5, 5, 4)


def check_transformers() -> None:
    """Refuses an installed transformers that would train wrongly.

    Raises:
        ImportError: the message says what is installed, what is accepted, why, and what to type.

    Example:
        >>> check_transformers()
    """
    installed = version("transformers")
    numbers = tuple(int(number) for number in re.findall(r"\d+", installed)[:3])
    if numbers < FIRST_TRANSFORMERS:
        accepted = ".".join(map(str, FIRST_TRANSFORMERS))
        raise ImportError(
            f"transformers {installed} is installed, and nlp_mixup trains with {accepted} or newer (below 6): 5.2 to 5.5.3 "
            "divide the loss of an accumulated step twice, and older ones lack what the trainer takes hold of. Type: "
            f"pip install -U 'transformers>={accepted},<6'"
        )
