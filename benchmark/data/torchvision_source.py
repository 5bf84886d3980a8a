"""Public image sets, downloaded on first use with torchvision's downloader and read straight out of their archives.

Why not torchvision's own classes: its CIFAR-10 unpickles; its GTSRB takes a half-extracted folder for the whole, and
its training split is the 26,640 pictures of the online competition, not the 39,209 that papers train on. Reading
members in place also writes nothing outside an archive, whatever paths it names.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tarfile
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import ClassVar, NamedTuple
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from benchmark.data.pictures import check_picture_options, decode_pictures
from benchmark.data.source import Decoded, Rows, Source
from benchmark.errors import BadInput


class Archive(NamedTuple):
    """A published file and its checksum."""

    url: str
    md5: str

    @property
    def name(self) -> str:
        """Its file name."""
        return self.url.rpartition("/")[2]


class Published(Source):
    """A data set made of published archives: a subclass names them and says how they are read.

    Attributes:
        folder: where they lie below the downloads folder.
        archives: what is downloaded.
    """

    folder: ClassVar[str]
    archives: ClassVar[tuple[Archive, ...]]

    def files(self, downloads: Path) -> list[Path]:
        """The archives, in the order of `archives`; torchvision is imported only to fetch one that is not there."""
        return [_present(archive, downloads / self.folder) for archive in self.archives]

    def verified(self, downloads: Path) -> list[Path]:
        """The archives, their checksums compared with the published ones.

        Raises:
            BadInput: a file differs from the published one, or is missing and cannot be downloaded.
        """
        paths = self.files(downloads)
        for archive, path in zip(self.archives, paths, strict=True):
            with path.open("rb") as file:
                md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            if md5 != archive.md5:
                raise BadInput(
                    f"{path}: md5 {md5}, but {archive.url} has {archive.md5}; delete the file to download it again"
                )
        return paths


def _present(archive: Archive, folder: Path) -> Path:
    """The archive's path in `folder`, downloaded if it is not there; a download gets its name only when it is whole."""
    target = folder / archive.name
    if target.is_file():
        return target
    from torchvision.datasets import utils

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(suffix=".tmp", dir=folder) as scratch:  # several runs may download at once
            utils.download_url(archive.url, scratch, archive.name, archive.md5)
            os.replace(Path(scratch) / archive.name, target)
    except (OSError, RuntimeError, HTTPException) as error:  # URLError is an OSError; a wrong checksum a RuntimeError
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(
            f"{archive.name}: not at {target} and not to be had from {archive.url} ({reason}); connect to the network, "
            "put the file at that place, or use dataset=parquet dataset.path=FOLDER with train.parquet and test.parquet"
        ) from error
    return target


class Cifar10(Published):
    """50,000 training and 10,000 test pictures, 32x32, of 10 things, in the authors' binary version.

    Args:
        clean: trusted rows (a share or a number).
        mirror: whether a mirrored picture keeps its label.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    folder = "cifar10"
    archives = (Archive("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),)
    label_bytes: ClassVar[int] = 1  # before the 3 * 32 * 32 pixels of a record; the last of them is the label
    train_files: ClassVar[tuple[str, ...]] = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
    test_files: ClassVar[tuple[str, ...]] = ("test_batch.bin",)
    names_file: ClassVar[str] = "batches.meta.txt"

    def __init__(self, clean: float = 0.05, mirror: bool = True) -> None:
        super().__init__(clean, mirror)

    def decode(self, downloads: Path) -> Decoded:
        """Records of label bytes and of pixels in planes of red, green and blue."""
        (archive,) = self.verified(downloads)
        contents = {}
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                stream = members.extractfile(member)  # None for a folder
                if stream is not None:
                    contents[PurePosixPath(member.name).name] = stream.read()
        names = contents[self.names_file].decode().split()
        return Decoded(self._rows(contents, self.train_files), self._rows(contents, self.test_files), names)

    def _rows(self, contents: dict[str, bytes], files: tuple[str, ...]) -> Rows:
        records = [np.frombuffer(contents[file], np.uint8).reshape(-1, self.label_bytes + 3072) for file in files]
        inputs = np.concatenate([record[:, self.label_bytes :] for record in records]).reshape(-1, 3, 32, 32)
        targets = np.concatenate([record[:, self.label_bytes - 1] for record in records]).astype(np.int64)
        return Rows(inputs, targets)


class Gtsrb(Published):
    """German traffic signs: 39,209 training pictures in tracks of about 30 frames and 12,630 test pictures, 43 classes.

    Whole pictures are resized, with the margin around the sign. Groups are the tracks of the training pictures; those
    of the test pictures are not published.

    Args:
        clean: trusted rows (a share or a number).
        mirror: whether a mirrored picture keeps its label; arrows do not.
        size: pixels of a side.

    Source: J. Stallkamp et al., The German Traffic Sign Recognition Benchmark, IJCNN 2011; the official training set.
    """

    folder = "gtsrb"  # where torchvision, too, leaves the two test archives
    archives = tuple(
        Archive(f"https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/{name}", md5)
        for name, md5 in (
            ("GTSRB_Final_Training_Images.zip", "f33fd80ac59bff73c82d25ab499e03a3"),
            ("GTSRB_Final_Test_Images.zip", "c7e4e6327067d32654124b0fe9e82185"),
            ("GTSRB_Final_Test_GT.zip", "fe31e9c9270bbcd7b84b7f21a9d9d9e5"),
        )
    )

    def __init__(self, clean: float = 0.05, mirror: bool = False, size: int = 32) -> None:
        super().__init__(clean, mirror)
        check_picture_options(3, size)
        self.size = size

    def decode(self, downloads: Path) -> Decoded:
        """Training pictures in the order of their names (class folder / TTTTT_FFFFF.ppm), test pictures by number."""
        train_archive, test_archive, answers = self.verified(downloads)
        with ZipFile(train_archive) as archive:
            members = sorted(name for name in archive.namelist() if name.endswith(".ppm"))
        targets = np.array([int(PurePosixPath(name).parent.name) for name in members], np.int64)
        tracks = [
            name.rpartition("_")[0] for name in members
        ]  # with the class folder: numbers start anew in each class
        group = np.unique(tracks, return_inverse=True)[1].astype(np.int64)
        train = Rows(self._pictures(train_archive, members), targets, group)
        with ZipFile(answers) as archive:
            lines = archive.read("GT-final_test.csv").decode().splitlines()
        truth = list(csv.DictReader(lines, delimiter=";"))
        members = [f"GTSRB/Final_Test/Images/{row['Filename']}" for row in truth]
        test = Rows(self._pictures(test_archive, members), np.array([int(row["ClassId"]) for row in truth], np.int64))
        return Decoded(train, test, [str(number) for number in range(int(targets.max()) + 1)])

    def _pictures(self, path: Path, members: list[str]) -> NDArray[np.uint8]:
        with ZipFile(path) as archive:
            return decode_pictures(((name, archive.read(name)) for name in members), len(members), 3, self.size)
