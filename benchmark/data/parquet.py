"""Pictures in Parquet files: a local folder, or a data set of the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.hub import fetch
from benchmark.data.labels import find_classes
from benchmark.data.pictures import check_picture_options, decode_pictures
from benchmark.data.source import Decoded, Rows, Source
from benchmark.data.tables import check_columns, class_names, holds_paths, nearest, read_column, read_pictures
from benchmark.errors import BadInput

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


class Parquet(Source):
    """Reads encoded pictures and labels out of Parquet files.

    The arguments are more than six because the yaml is this call.

    Args:
        path: a folder with train*.parquet and test*.parquet, or "owner/name" on the hub.
        name: what tables call the data set.
        revision: branch, tag or commit on the hub; None for the main branch.
        config: which configuration on the hub, where there are several.
        image: name of the column of pictures: a picture file's bytes, or {bytes, path}.
        label: name of the column of labels, integers from 0 or strings.
        size: pixels of a side to which pictures are resized; None keeps them, and they must agree.
        channels: 1 (grey) or 3 (colour).
        train_split, test_split: the splits' names; in a folder, how their files' names begin.
        group_pattern: regular expression searched for in a training picture's path; rows of one class whose captured
            groups agree belong to one track. None where rows are independent.
        train_rows, test_rows: take the first so many rows of the kept classes; None for all.
        classes: labels, or their names, to keep, numbered in this order; None for all.
        clean: trusted rows (a share or a number).
        mirror: whether a mirrored picture keeps its label.

    Raises:
        BadInput: an option without sense.
    """

    def __init__(
        self,
        path: str | None,
        name: str = "parquet",
        revision: str | None = None,
        config: str | None = None,
        image: str = "image",
        label: str = "label",
        size: int | None = None,
        channels: int = 3,
        train_split: str = "train",
        test_split: str = "test",
        group_pattern: str | None = None,
        train_rows: int | None = None,
        test_rows: int | None = None,
        classes: Sequence[int | str] | None = None,
        clean: float = 0.05,
        mirror: bool = False,
    ) -> None:
        super().__init__(clean, mirror)
        self.name = name
        if not path:
            raise BadInput(
                "dataset.path is not set; give a folder with train*.parquet and test*.parquet, or owner/name of a data "
                "set on the Hugging Face hub"
            )
        check_picture_options(channels, size)
        _check_limit("train_rows", train_rows)
        _check_limit("test_rows", test_rows)
        if train_split == test_split:
            raise BadInput(f"dataset.train_split and dataset.test_split are both {train_split}; name two splits")
        self.path, self.revision, self.config = path, revision, config
        self.image, self.label = image, label
        self.size, self.channels = size, channels
        self.train_split, self.test_split = train_split, test_split
        self.group_pattern = None if group_pattern is None else _compiled(group_pattern)
        self.train_rows, self.test_rows = train_rows, test_rows
        self.classes = None if classes is None else list(classes)

    def files(self, downloads: Path) -> list[Path]:
        """The Parquet files of a folder, or the local Arrow files of a data set on the hub."""
        train, test = self._splits(downloads)
        return train + test

    def decode(self, downloads: Path) -> Decoded:
        """Find the classes by the labels alone, then decode the pictures that are kept, a batch at a time."""
        train_files, test_files = self._splits(downloads)
        check_columns(train_files + test_files, self.image, self.label)
        labels = read_column(train_files, self.label)
        names = class_names(train_files + test_files, self.label)
        classes = find_classes(self.train_split, labels, names, self.classes)
        rows, targets = classes.rows(self.train_split, labels, self.train_rows)
        rare = sorted(set(range(len(classes.names))) - set(targets.tolist()))
        if rare:
            raise BadInput(
                f"class {classes.names[rare[0]]} has no row among the {len(rows)} training rows; "
                "raise dataset.train_rows or list the classes to keep in dataset.classes"
            )
        group = None if self.group_pattern is None else self._groups(self.group_pattern, train_files, rows, targets)
        labels = read_column(test_files, self.label)
        test_rows, test_targets = classes.rows(self.test_split, labels, self.test_rows)
        train = Rows(self._pictures(train_files, rows), targets, group)
        test = Rows(self._pictures(test_files, test_rows), test_targets)
        if train.inputs.shape[1:] != test.inputs.shape[1:]:
            shapes = [f"{rows.inputs.shape[2]}x{rows.inputs.shape[3]}" for rows in (train, test)]
            raise BadInput(f"training pictures of {shapes[0]} pixels, test pictures of {shapes[1]}; set dataset.size")
        return Decoded(train, test, classes.names)

    def _splits(self, downloads: Path) -> list[list[Path]]:
        folder = Path(self.path).expanduser()
        if folder.is_dir():
            splits = [_shards(folder, split) for split in (self.train_split, self.test_split)]
            if set(splits[0]) & set(splits[1]):
                raise BadInput(
                    f"{folder}: files of {self.train_split} and {self.test_split} cannot be told apart by how their "
                    "names begin; rename them, or set dataset.train_split and dataset.test_split"
                )
            return splits
        if folder.exists():
            raise BadInput(
                f"dataset.path={self.path}: a file; give the folder that holds train*.parquet and test*.parquet"
            )
        if not HUB_NAME.fullmatch(self.path):
            raise BadInput(
                f"dataset.path={self.path}: no such folder ({folder.absolute()}); give one with train*.parquet and "
                "test*.parquet, or owner/name of a data set on the Hugging Face hub"
            )
        return fetch(self.path, self.config, self.revision, (self.train_split, self.test_split), downloads)

    def _pictures(self, files: list[Path], rows: list[int]) -> NDArray[np.uint8]:
        return decode_pictures(read_pictures(files, self.image, rows), len(rows), self.channels, self.size)

    def _groups(
        self, pattern: re.Pattern[str], files: list[Path], rows: list[int], targets: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        if not all(holds_paths(file, self.image) for file in files):
            raise BadInput(f"dataset.group_pattern: column {self.image} holds no paths; set dataset.group_pattern=null")
        paths = read_column(files, self.image, "path")
        number: dict[tuple[object, ...], int] = {}
        group = np.empty(len(rows), np.int64)
        for index, (row, target) in enumerate(zip(rows, targets.tolist(), strict=True)):
            match = pattern.search(str(paths[row] or ""))
            if match is None:
                raise BadInput(
                    f"dataset.group_pattern={pattern.pattern}: {self.train_split} row {row} has the path {paths[row]}, "
                    "which does not match; correct the pattern, or set it to null"
                )
            group[index] = number.setdefault((target, *match.groups()), len(number))
        return group


def _check_limit(option: str, rows: int | None) -> None:
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
        raise BadInput(f"dataset.{option}={rows}: must be a whole number above 0, or null for all rows")


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadInput(f"dataset.group_pattern={pattern}: no regular expression ({error}); correct it") from error
    if not compiled.groups:
        raise BadInput(
            f"dataset.group_pattern={pattern}: captures nothing; put parentheses around what names the track"
        )
    return compiled


def _shards(folder: Path, split: str) -> list[Path]:
    files = sorted(file for file in folder.glob("*.parquet") if file.name.startswith(split) and file.is_file())
    if not files:
        there = nearest(f"{split}.parquet", sorted(file.name for file in folder.iterdir()))
        raise BadInput(
            f"dataset.path={folder}: no {split}*.parquet; {there}; "
            "add it, or name the splits in dataset.train_split and dataset.test_split"
        )
    return files
