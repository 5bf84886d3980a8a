"""The field's other small pictures, read in place like CIFAR-10: handwriting, clothes, house numbers, tiny ImageNet."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import ClassVar
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from benchmark.data.pictures import check_picture_options, decode_pictures
from benchmark.data.source import Decoded, Rows
from benchmark.data.torchvision_source import Archive, Cifar10, Published

TINY = "tiny-imagenet-200"  # the folder of everything in the archive


class Mnist(Published):
    """60,000 training and 10,000 test pictures, 28x28 and grey, of handwritten digits.

    Args:
        clean: trusted rows (a share or a number).
        mirror: whether a mirrored picture keeps its label; most digits do not.

    Source: Y. LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998; torchvision's mirror.
    """

    folder = "mnist"
    archives = tuple(
        Archive(f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz", md5)
        for name, md5 in (
            ("train-images-idx3-ubyte", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1-ubyte", "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3-ubyte", "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1-ubyte", "ec29112dd5afa0611ce80d1b7f02629c"),
        )
    )
    names: ClassVar[tuple[str, ...]] = tuple("0123456789")

    def __init__(self, clean: float = 0.05, mirror: bool = False) -> None:
        super().__init__(clean, mirror)

    def decode(self, downloads: Path) -> Decoded:
        """Pictures and labels lie in files of their own, row by row."""
        train_images, train_labels, test_images, test_labels = map(_idx, self.verified(downloads))
        train = Rows(train_images[:, None], train_labels.astype(np.int64))
        test = Rows(test_images[:, None], test_labels.astype(np.int64))
        return Decoded(train, test, list(self.names))


class FashionMnist(Mnist):
    """60,000 training and 10,000 test pictures, 28x28 and grey, of clothes, shoes and bags.

    Args:
        clean: trusted rows (a share or a number).
        mirror: whether a mirrored picture keeps its label; a shirt or a shoe does.

    Source: H. Xiao et al., arXiv:1708.07747; the authors' repository, since their other place has no https.
    """

    folder = "fashion_mnist"
    archives = tuple(
        Archive(f"https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/{name}.gz", md5)
        for name, md5 in (
            ("train-images-idx3-ubyte", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1-ubyte", "25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3-ubyte", "bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1-ubyte", "bb300cfdad3c16e7a12a480ee83cd310"),
        )
    )
    names = (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )

    def __init__(self, clean: float = 0.05, mirror: bool = True) -> None:
        super().__init__(clean, mirror)


class Cifar100(Cifar10):
    """50,000 training and 10,000 test pictures, 32x32, of 100 things, in the authors' binary version.

    Args:
        clean: trusted rows (a share or a number).
        mirror: whether a mirrored picture keeps its label.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    folder = "cifar100"
    archives = (
        Archive("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
    )
    label_bytes = 2  # the superclass, then the class
    train_files = ("train.bin",)
    test_files = ("test.bin",)
    names_file = "fine_label_names.txt"


class Svhn(Published):
    """73,257 training and 26,032 test pictures, 32x32, of digits cut out of house numbers; no extra pictures.

    Args:
        clean: trusted rows (a share or a number).
        mirror: whether a mirrored picture keeps its label; most digits do not.

    Source: Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011.
    """

    folder = "svhn"
    archives = (
        Archive("https://ufldl.stanford.edu/housenumbers/train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
        Archive("https://ufldl.stanford.edu/housenumbers/test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
    )

    def __init__(self, clean: float = 0.05, mirror: bool = False) -> None:
        super().__init__(clean, mirror)

    def decode(self, downloads: Path) -> Decoded:
        """Matlab's level 5 files: X (H, W, C, N) and y (N, 1), in which 10 stands for the digit 0."""
        train, test = map(self._rows, self.verified(downloads))
        return Decoded(train, test, [str(digit) for digit in range(10)])

    def _rows(self, path: Path) -> Rows:
        from scipy.io import loadmat

        matrices = loadmat(path, variable_names=["X", "y"])
        return Rows(matrices["X"].transpose(3, 2, 0, 1), matrices["y"][:, 0].astype(np.int64) % 10)


class TinyImagenet(Published):
    """100,000 training pictures, 64x64, of 200 things, and 10,000 published for validation, which are the test split.

    The published test pictures have no labels. Classes are numbered in the order of their WordNet numbers.

    Args:
        clean: trusted rows (a share or a number).
        mirror: whether a mirrored picture keeps its label.
        size: pixels of a side.

    Source: Stanford's course CS231n, from O. Russakovsky et al., arXiv:1409.0575.
    """

    folder = "tiny_imagenet"
    archives = (Archive("https://cs231n.stanford.edu/tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de"),)

    def __init__(self, clean: float = 0.05, mirror: bool = True, size: int = 64) -> None:
        super().__init__(clean, mirror)
        check_picture_options(3, size)
        self.size = size

    def decode(self, downloads: Path) -> Decoded:
        """Training pictures in the order of their names (train/<class>/images/*.JPEG), the others as annotated."""
        (path,) = self.verified(downloads)
        with ZipFile(path) as archive:
            number = {name: index for index, name in enumerate(sorted(_lines(archive, "wnids.txt")))}
            words = dict(line.partition("\t")[::2] for line in _lines(archive, "words.txt"))
            names = [words[name].partition(",")[0] for name in number]
            members = sorted(name for name in archive.namelist() if "/train/" in name and name.endswith(".JPEG"))
            train = self._rows(archive, members, [number[name.split("/")[-3]] for name in members])
            notes = [line.split("\t") for line in _lines(archive, "val/val_annotations.txt")]
            members = [f"{TINY}/val/images/{note[0]}" for note in notes]
            test = self._rows(archive, members, [number[note[1]] for note in notes])
        return Decoded(train, test, names)

    def _rows(self, archive: ZipFile, members: list[str], labels: list[int]) -> Rows:
        encoded = ((name, archive.read(name)) for name in members)
        return Rows(decode_pictures(encoded, len(members), 3, self.size), np.array(labels, np.int64))


def _lines(archive: ZipFile, name: str) -> list[str]:
    return archive.read(f"{TINY}/{name}").decode(errors="replace").splitlines()


def _idx(path: Path) -> NDArray[np.uint8]:
    """A compressed idx file of unsigned bytes: 0, 0, 8 (their type), the number of sizes, the sizes, the values."""
    content = gzip.decompress(path.read_bytes())
    sizes = content[3]
    shape = np.frombuffer(content, ">u4", sizes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * sizes).reshape(shape)
