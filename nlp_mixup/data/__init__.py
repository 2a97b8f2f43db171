"""A file, a folder or a Hub id -> checked rows -> class ids -> splits of tokens."""

from nlp_mixup.data.class_ids import HeldOut, class_tables, name_labels, number_classes
from nlp_mixup.data.label_map import class_order, explain_new_head, listed, match_labels
from nlp_mixup.data.label_names import shorten
from nlp_mixup.data.label_values import UNLABELLED, check_labels
from nlp_mixup.data.ood import HELD_OUT, NOISE, UNIFORM, load_ood_texts, named_sets, tokenize_ood
from nlp_mixup.data.row_checks import Facts, RowReport, facts_of, judged_rows, report_rows, trained_rows_of
from nlp_mixup.data.row_hashes import TRAINED, Hashes, hashed, npy, row_hash, trained_rows
from nlp_mixup.data.rows import (
    PLACE,
    Rows,
    check_columns,
    choose_rows,
    complete,
    drop_blank,
    labelled,
    tell_unlabelled,
    with_places,
)
from nlp_mixup.data.sources import SPLIT_NAMES, find_sources, named_splits
from nlp_mixup.data.splits import drop_hidden_test, stratified_rows, subset, take_out
from nlp_mixup.data.table_files import is_hidden, open_parquet
from nlp_mixup.data.texts import DataError, TextData, check_settings, load_text_data, read_held_out, text_data
from nlp_mixup.data.tokens import digest, tokenize
