"""Folders, parquet files, a Hub data set or the digits -> checked images -> pixels -> model inputs."""

from nlp_mixup.vision.data.augmentation import Augmenter
from nlp_mixup.vision.data.decoding import CONTENT, open_image, read_content
from nlp_mixup.vision.data.images import ImageData, load_image_data
from nlp_mixup.vision.data.normalization import Normalization, PixelTransform, collate_images, pixel_statistics
from nlp_mixup.vision.data.ood import NoiseTransform, load_ood_tables
from nlp_mixup.vision.data.pixels import ImageReader, decode_table
from nlp_mixup.vision.data.processing import build_processor, resized_processor, take_apart
from nlp_mixup.vision.data.row_hashes import file_hashes, image_hashes
from nlp_mixup.vision.data.rows import read_split
from nlp_mixup.vision.data.sources import image_sources
from nlp_mixup.vision.data.stream import Stream, count_readers

__all__ = [
    "CONTENT",
    "Augmenter",
    "ImageData",
    "ImageReader",
    "NoiseTransform",
    "Normalization",
    "PixelTransform",
    "Stream",
    "build_processor",
    "collate_images",
    "count_readers",
    "decode_table",
    "file_hashes",
    "image_hashes",
    "image_sources",
    "load_image_data",
    "load_ood_tables",
    "open_image",
    "pixel_statistics",
    "read_content",
    "read_split",
    "resized_processor",
    "take_apart",
]
