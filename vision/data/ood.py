"""Images that a classifier was not trained on: named files and folders, and noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data import HELD_OUT, NOISE, UNIFORM, check_columns, choose_rows, named_sets, open_parquet
from nlp_mixup.vision.data.decoding import CONTENT
from nlp_mixup.vision.data.normalization import Normalization, Size
from nlp_mixup.vision.data.rows import encoded_column
from nlp_mixup.vision.data.sources import EXTENSIONS, image_files


def load_ood_tables(args: DataArguments) -> dict[str, pa.Table]:
    """The images that ``ood_files`` names, encoded, without labels.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: an entry is not NAME=PATH or NAME=FILE:COLUMN=VALUE, or a name is taken.
    """
    tables: dict[str, pa.Table] = {}
    for name, place, where in named_sets(args.ood_files or [], (NOISE, UNIFORM, HELD_OUT)):
        path = Path(place).expanduser()
        if path.is_dir() and where is not None:
            raise ValueError(
                f"ood_files: {place} is a folder, whose images have no column {where[0]!r}. Name a folder in it."
            )
        if path.is_dir():
            files = image_files(path)
            if not files:
                raise ValueError(f"ood_files: {path} holds no images ({', '.join(EXTENSIONS)}).")
            images = pa.chunked_array([[{"bytes": None, "path": str(file)} for file in files]], CONTENT)
        elif path.is_file():
            table = open_parquet(path).read()
            check_columns(str(path), table.column_names, {"image": args.image_column})
            table = choose_rows(table, str(path), where)
            images = encoded_column(table[args.image_column], f"{path}: column {args.image_column!r}")
        else:
            raise FileNotFoundError(f"ood_files: there is no file or folder {place}.")
        limit = args.max_eval_samples or len(images)
        chosen = np.random.RandomState(args.data_split_seed).permutation(len(images))[:limit]
        tables[name] = pa.table({"image": images}).take(np.sort(chosen))
    return tables


@dataclass(frozen=True)
class NoiseTransform:
    """Turns row numbers into images of noise, the same for a row at each time of asking.

    Attributes:
        kind: ``gaussian`` has the statistics of the training images, as in the paper (section 5), not clipped to their
            range; ``uniform`` is uniform over the range of pixels.
        statistics: of the training images.
        size: of the images.
        normalization: of the model's inputs.
        seed: of the draws.
    """

    kind: Literal["gaussian", "uniform"]
    statistics: Normalization
    size: Size
    normalization: Normalization
    seed: int

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        return rows | {
            "pixel_values": self.normalization(torch.stack([self._image(row) for row in rows["pixel_values"]]))
        }

    def _image(self, row: int) -> Tensor:
        generator = np.random.default_rng([self.seed, row])
        if self.kind == "uniform":
            return torch.from_numpy(255 * generator.random((*self.size, 3)))
        mean, sd = np.array(self.statistics.mean), np.array(self.statistics.sd)
        return torch.from_numpy(255 * (mean + sd * generator.standard_normal((*self.size, 3))))
