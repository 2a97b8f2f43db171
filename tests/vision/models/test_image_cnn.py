"""The built-in image classifiers and how models are loaded."""

import sys
from pathlib import Path

from package_imports import imports_of

from nlp_mixup.vision.models import image_cnn


def test_the_file_of_the_architectures_travels_alone():
    """A published model brings it, so it must not need nlp_mixup."""
    libraries = {name.split(".")[0] for name in imports_of(Path(image_cnn.__file__))} - sys.stdlib_module_names
    assert libraries == {"torch", "transformers", "huggingface_hub"}
