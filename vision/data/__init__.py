"""Folders, parquet files, a Hub data set or the digits -> checked images -> pixels."""

from nlp_mixup.vision.data.images import (
    Augmenter,
    NoiseTransform,
    Normalization,
    PixelTransform,
    collate_images,
    open_image,
    pixel_statistics,
    read_content,
)
from nlp_mixup.vision.data.processing import ImageReader, build_processor, resized_processor, take_apart
from nlp_mixup.vision.data.row_hashes import file_hashes, image_hashes
from nlp_mixup.vision.data.sources import CONTENT, image_sources, load_ood_tables, read_split
from nlp_mixup.vision.data.stream import Stream, count_readers, load_stream, stream_of_files

__all__ = [
    "CONTENT",
    "Augmenter",
    "ImageReader",
    "NoiseTransform",
    "Normalization",
    "PixelTransform",
    "Stream",
    "build_processor",
    "collate_images",
    "count_readers",
    "file_hashes",
    "image_hashes",
    "image_sources",
    "load_ood_tables",
    "load_stream",
    "open_image",
    "pixel_statistics",
    "read_content",
    "read_split",
    "resized_processor",
    "stream_of_files",
    "take_apart",
]
