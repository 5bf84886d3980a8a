"""MNIST and its kin, CIFAR-100, SVHN and Tiny ImageNet, from tiny archives in the published formats."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import io
import struct
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.error import URLError
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.typing import NDArray
from omegaconf import OmegaConf
from PIL import Image
from scipy.io import savemat

from benchmark.data.small_images import Cifar100, FashionMnist, Mnist, Svhn, TinyImagenet
from benchmark.data.torchvision_source import Archive, Published
from benchmark.errors import BadInput

ROOT = Path(__file__).parents[1]
EVERY: list[type[Published]] = [Mnist, FashionMnist, Cifar100, Svhn, TinyImagenet]
RANDOM = np.random.default_rng(0)


def publish(monkeypatch: pytest.MonkeyPatch, source: type[Published], downloads: Path) -> None:
    """Let the generated archives pass for the published ones."""
    archives = []
    for archive in source.archives:
        content = (downloads / source.folder / archive.name).read_bytes()
        archives.append(Archive(archive.url, hashlib.md5(content).hexdigest()))
    monkeypatch.setattr(source, "archives", tuple(archives))


def colours(rows: int, side: int) -> NDArray[np.uint8]:
    return RANDOM.integers(0, 256, (rows, 3, side, side), dtype=np.uint8)


# ---- idx files


def write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    header = struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(header + values.tobytes()))


@pytest.mark.parametrize("source", [Mnist, FashionMnist])
def test_idx_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: type[Mnist]) -> None:
    splits = {}
    for name, rows in (("train", 300), ("t10k", 3)):  # 300 does not fit into one byte of the header
        pixels = RANDOM.integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        labels = RANDOM.integers(0, 10, rows).astype(np.uint8)
        write_idx(tmp_path / source.folder / f"{name}-images-idx3-ubyte.gz", pixels)
        write_idx(tmp_path / source.folder / f"{name}-labels-idx1-ubyte.gz", labels)
        splits[name] = pixels, labels
    publish(monkeypatch, source, tmp_path)
    data = source().decode(tmp_path)
    for rows, (pixels, labels) in ((data.train, splits["train"]), (data.test, splits["t10k"])):
        assert rows.inputs.dtype == np.uint8 and rows.targets.dtype == np.int64
        assert np.array_equal(rows.inputs, pixels[:, None]) and np.array_equal(rows.targets, labels)
        assert rows.group is None
    assert len(data.classes) == 10
    assert (data.classes[0], data.classes[9]) == {Mnist: ("0", "9"), FashionMnist: ("T-shirt/top", "Ankle boot")}[
        source
    ]


# ---- CIFAR-100


def test_cifar100_labels_are_the_second_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, fine = colours(7, 32), RANDOM.integers(0, 100, 7).astype(np.uint8)
    records = np.concatenate([(fine // 5)[:, None], fine[:, None], pixels.reshape(7, -1)], axis=1)
    names = [f"thing_{number}" for number in range(100)]
    contents = {
        "coarse_label_names.txt": b"animals\nplants\n",
        "fine_label_names.txt": ("\n".join(names) + "\n").encode(),
        "test.bin": records[5:].tobytes(),
        "train.bin": records[:5].tobytes(),
    }
    (tmp_path / "cifar100").mkdir()
    with tarfile.open(tmp_path / "cifar100" / "cifar-100-binary.tar.gz", "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"cifar-100-binary/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    publish(monkeypatch, Cifar100, tmp_path)
    data = Cifar100().decode(tmp_path)
    assert np.array_equal(data.train.inputs, pixels[:5]) and np.array_equal(data.test.inputs, pixels[5:])
    assert np.array_equal(data.train.targets, fine[:5]) and np.array_equal(data.test.targets, fine[5:])
    assert data.classes == names


# ---- SVHN


def test_svhn_reads_matlab_files_and_calls_ten_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "svhn").mkdir()
    pixels = {"train": colours(4, 32), "test": colours(3, 32)}
    labels = {"train": [10, 1, 9, 10], "test": [3, 10, 2]}
    for split, images in pixels.items():
        matrices = {"X": images.transpose(2, 3, 1, 0), "y": np.array(labels[split], np.uint8)[:, None]}
        savemat(tmp_path / "svhn" / f"{split}_32x32.mat", matrices, do_compression=True)
    publish(monkeypatch, Svhn, tmp_path)
    data = Svhn().decode(tmp_path)
    assert np.array_equal(data.train.inputs, pixels["train"]) and np.array_equal(data.test.inputs, pixels["test"])
    assert data.train.targets.tolist() == [0, 1, 9, 0] and data.test.targets.tolist() == [3, 0, 2]
    assert data.train.targets.dtype == np.int64
    assert data.classes == list("0123456789")


# ---- Tiny ImageNet


def jpeg(colour: int | tuple[int, int, int], side: int = 64) -> bytes:
    stream = io.BytesIO()
    mode = "L" if isinstance(colour, int) else "RGB"
    Image.new(mode, (side, side), colour).save(stream, "JPEG", quality=100)
    return stream.getvalue()


def write_tiny_imagenet(downloads: Path) -> None:
    """Two classes of three training pictures, one of them grey, two annotated pictures and one without a label."""
    (downloads / "tiny_imagenet").mkdir()
    top = "tiny-imagenet-200"
    with ZipFile(downloads / "tiny_imagenet" / "tiny-imagenet-200.zip", "w") as archive:
        archive.writestr(f"{top}/", "")
        archive.writestr(f"{top}/wnids.txt", "n02\nn01\n")
        words = "n00\tentity\nn01\tgoldfish, Carassius auratus\nn02\tcaf\xe9\nno tab here\n"
        archive.writestr(f"{top}/words.txt", words.encode("latin-1"))
        for red, wnid in ((200, "n02"), (50, "n01")):
            archive.writestr(f"{top}/train/{wnid}/{wnid}_boxes.txt", f"{wnid}_0.JPEG\t0\t0\t62\t62\n")
            for number in range(3):
                colour = 77 if number == 2 else (red, 10 * number, 0)
                archive.writestr(f"{top}/train/{wnid}/images/{wnid}_{number}.JPEG", jpeg(colour))
        archive.writestr(f"{top}/val/images/val_0.JPEG", jpeg((50, 90, 0)))
        archive.writestr(f"{top}/val/images/val_1.JPEG", jpeg((200, 90, 0)))
        notes = "val_1.JPEG\tn02\t0\t32\t44\t62\nval_0.JPEG\tn01\t52\t55\t57\t59\n"
        archive.writestr(f"{top}/val/val_annotations.txt", notes)
        archive.writestr(f"{top}/test/images/test_0.JPEG", jpeg(0))


def test_tiny_imagenets_labels_are_folders_and_annotations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_imagenet(tmp_path)
    publish(monkeypatch, TinyImagenet, tmp_path)
    data = TinyImagenet().decode(tmp_path)
    assert data.train.inputs.shape == (6, 3, 64, 64) and data.test.inputs.shape == (2, 3, 64, 64)
    assert data.train.targets.tolist() == [0, 0, 0, 1, 1, 1], "classes in the order of their WordNet numbers"
    expected = np.array([[50, 0, 0], [50, 10, 0], [77, 77, 77], [200, 0, 0], [200, 10, 0], [77, 77, 77]])
    assert np.abs(data.train.inputs[:, :, 30, 30].astype(int) - expected).max() <= 3, "JPEG is not exact"
    assert data.test.targets.tolist() == [1, 0], "in the order of the annotations"
    assert np.abs(data.test.inputs[:, 0, 30, 30].astype(int) - [200, 50]).max() <= 3
    assert data.classes == ["goldfish", "caf\N{REPLACEMENT CHARACTER}"]
    assert data.train.group is None
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["tiny-imagenet-200.zip", "tiny_imagenet"]


def test_tiny_imagenet_can_be_made_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_imagenet(tmp_path)
    publish(monkeypatch, TinyImagenet, tmp_path)
    assert TinyImagenet(size=32).decode(tmp_path).train.inputs.shape == (6, 3, 32, 32)
    with pytest.raises(BadInput, match=r"dataset\.size=0"):
        TinyImagenet(size=0)


# ---- all of them


def test_the_module_imports_neither_torch_nor_scipy() -> None:
    code = (
        "import sys, benchmark.data.small_images; sys.exit(bool({'torch', 'torchvision', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("source", EVERY)
def test_the_yaml_is_the_constructor_call(source: type[Published]) -> None:
    options = dict(OmegaConf.load(ROOT / "conf" / "dataset" / f"{source.folder}.yaml"))
    assert options.pop("_target_") == f"{source.__module__}.{source.__name__}"
    assert options == {name: parameter.default for name, parameter in inspect.signature(source).parameters.items()}
    mirrors = source in (FashionMnist, Cifar100, TinyImagenet)
    assert options["mirror"] is mirrors and source().mirror is mirrors


@pytest.mark.parametrize("source", EVERY)
def test_archives_carry_an_md5_and_https_and_names_of_their_own(source: type[Published]) -> None:
    for archive in source.archives:
        assert archive.url.startswith("https://") and len(archive.md5) == 32
    assert len({archive.name for archive in source.archives}) == len(source.archives)


def test_checksums_are_those_that_torchvision_knows() -> None:
    from torchvision.datasets import MNIST, SVHN, FashionMNIST

    for ours, theirs in ((Mnist, MNIST), (FashionMnist, FashionMNIST)):
        assert [(archive.name, archive.md5) for archive in ours.archives] == theirs.resources
    assert [archive.md5 for archive in Svhn.archives] == [SVHN.split_list[split][2] for split in ("train", "test")]


@pytest.mark.parametrize("source", EVERY)
def test_no_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: type[Published]) -> None:
    def fail(*arguments: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", fail)
    with pytest.raises(BadInput) as caught:
        source().files(tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (source.archives[0].name, str(tmp_path / source.folder), source.archives[0].url, "dataset=parquet"):
        assert part in message


@pytest.mark.parametrize("source", EVERY)
def test_a_changed_archive_is_refused(tmp_path: Path, source: type[Published]) -> None:
    (tmp_path / source.folder).mkdir()
    for archive in source.archives:
        (tmp_path / source.folder / archive.name).write_bytes(b"something else")
    with pytest.raises(BadInput, match=rf"md5 .*{source.archives[0].md5}.*delete"):
        source().decode(tmp_path)
