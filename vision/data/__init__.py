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
