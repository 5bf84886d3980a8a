"""Published image sets, from tiny archives with the layout of the real ones; nothing is downloaded."""

from __future__ import annotations

import hashlib
import inspect
import io
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

from benchmark.data.torchvision_source import Archive, Cifar10, Gtsrb, Published
from benchmark.errors import BadInput

THINGS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def publish(monkeypatch: pytest.MonkeyPatch, source: type[Published], folder: Path) -> list[Path]:
    """Let the generated archives in `folder` pass for the published ones."""
    paths = [folder / archive.name for archive in source.archives]
    digests = [hashlib.md5(path.read_bytes()).hexdigest() for path in paths]
    archives = tuple(Archive(archive.url, md5) for archive, md5 in zip(source.archives, digests, strict=True))
    monkeypatch.setattr(source, "archives", archives)
    return paths


def write_cifar(folder: Path, rows: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Six batches of `rows` records each; returns all pictures and labels in the order train, test."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (6 * rows, 3072), dtype=np.uint8)
    labels = random.integers(0, 10, 6 * rows).astype(np.uint8)
    contents = {"batches.meta.txt": ("\n".join(THINGS) + "\n\n").encode(), "readme.html": b"<html>"}
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    for index, name in enumerate(names):
        part = slice(index * rows, (index + 1) * rows)
        contents[name] = np.concatenate([labels[part, None], pixels[part]], axis=1).tobytes()
    folder.mkdir(parents=True)
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        directory = tarfile.TarInfo("cifar-10-batches-bin")
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
        for name in sorted(contents, reverse=True):  # the order in the archive must not matter
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(contents[name])
            archive.addfile(member, io.BytesIO(contents[name]))
    return pixels.reshape(-1, 3, 32, 32), labels.astype(np.int64)


def ppm(colour: tuple[int, int, int], width: int, height: int) -> bytes:
    """A one-coloured picture file."""
    stream = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(stream, "PPM")
    return stream.getvalue()


def write_gtsrb(folder: Path) -> None:
    """Two classes of two tracks of three frames, which share their track numbers, and two test pictures."""
    folder.mkdir(parents=True)
    with ZipFile(folder / "GTSRB_Final_Training_Images.zip", "w") as archive:
        archive.writestr("GTSRB/Readme-Images.txt", "text")
        for label in (1, 0):
            archive.writestr(f"GTSRB/Final_Training/Images/{label:05}/GT-{label:05}.csv", "Filename;Width")
            for track in (0, 1):
                for frame in range(3):
                    name = f"GTSRB/Final_Training/Images/{label:05}/{track:05}_{frame:05}.ppm"
                    archive.writestr(name, ppm((100 * label, 100 * track, frame), 15 + frame, 20))
    with ZipFile(folder / "GTSRB_Final_Test_Images.zip", "w") as archive:
        archive.writestr("GTSRB/Final_Test/Images/GT-final_test.test.csv", "Filename;Width")
        for number in range(2):
            archive.writestr(f"GTSRB/Final_Test/Images/{number:05}.ppm", ppm((number, 7, 9), 40, 30))
    with ZipFile(folder / "GTSRB_Final_Test_GT.zip", "w") as archive:
        header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\r\n"
        archive.writestr("GT-final_test.csv", header + "00000.ppm;40;30;5;5;35;25;1\r\n00001.ppm;40;30;5;5;35;25;0\r\n")


def test_module_imports_no_torch() -> None:
    code = "import sys, benchmark.data.torchvision_source; sys.exit(bool({'torch', 'torchvision'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0


def test_cifar_reads_the_binary_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, labels = write_cifar(tmp_path / "cifar10", rows=4)
    paths = publish(monkeypatch, Cifar10, tmp_path / "cifar10")
    source = Cifar10()
    assert source.files(tmp_path) == paths
    data = source.decode(tmp_path)
    assert data.classes == THINGS
    assert data.train.inputs.dtype == np.uint8 and data.train.targets.dtype == np.int64
    assert np.array_equal(data.train.inputs, pixels[:20]) and np.array_equal(data.train.targets, labels[:20])
    assert np.array_equal(data.test.inputs, pixels[20:]) and np.array_equal(data.test.targets, labels[20:])
    assert data.train.group is None
    assert source.mirror


def test_gtsrb_groups_are_tracks_of_one_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gtsrb(tmp_path / "gtsrb")
    publish(monkeypatch, Gtsrb, tmp_path / "gtsrb")
    source = Gtsrb(size=24)
    data = source.decode(tmp_path)
    assert data.train.inputs.shape == (12, 3, 24, 24) and data.test.inputs.shape == (2, 3, 24, 24)
    assert data.train.targets.tolist() == [0] * 6 + [1] * 6
    assert data.train.group is not None and data.train.group.dtype == np.int64
    assert data.train.group.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert data.train.inputs[7, :, 0, 0].tolist() == [100, 0, 1]  # class 1, track 0, frame 1
    assert data.test.targets.tolist() == [1, 0] and data.test.inputs[1, :, 0, 0].tolist() == [1, 7, 9]
    assert data.test.group is None
    assert data.classes == ["0", "1"]
    assert not source.mirror


@pytest.mark.parametrize("source", [Cifar10, Gtsrb])
def test_yaml_is_the_constructor_call(source: type[Published]) -> None:
    options = dict(OmegaConf.load(Path(__file__).parents[1] / "conf" / "dataset" / f"{source.folder}.yaml"))
    assert options.pop("_target_") == f"{source.__module__}.{source.__name__}"
    assert options == {name: parameter.default for name, parameter in inspect.signature(source).parameters.items()}


@pytest.mark.parametrize("source", [Cifar10(), Gtsrb()])
def test_archives_carry_an_md5_and_https(source: Published) -> None:
    for archive in source.archives:
        assert archive.url.startswith("https://") and len(archive.md5) == 32


@pytest.mark.parametrize("error", [URLError("no route"), RuntimeError("File not found or corrupted."), OSError()])
@pytest.mark.parametrize("source", [Cifar10(), Gtsrb()])
def test_no_network_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Published, error: Exception
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("torchvision.datasets.utils.download_url", fail)
    with pytest.raises(BadInput) as caught:
        source.files(tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (source.archives[0].name, str(tmp_path / source.folder), source.archives[0].url, "dataset=parquet"):
        assert part in message
    assert list((tmp_path / source.folder).iterdir()) == []  # half a download leaves nothing behind


def test_download_is_put_in_place_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def download(url: str, root: str, filename: str, md5: str) -> None:
        assert not (tmp_path / "cifar10" / filename).exists()
        calls.append((url, md5))
        Path(root, filename).write_bytes(b"archive")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", download)
    source = Cifar10()
    (path,) = source.files(tmp_path)
    assert path == tmp_path / "cifar10" / "cifar-10-binary.tar.gz" and path.read_bytes() == b"archive"
    assert calls == [tuple(Cifar10.archives[0])]
    assert source.files(tmp_path) == [path] and len(calls) == 1
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_changed_archive_is_refused(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar10", rows=1)
    with pytest.raises(BadInput, match=r"md5 .*c32a1d4ab5d03f1284b67883e8d87530.*delete"):
        Cifar10().decode(tmp_path)


def test_unreadable_picture_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gtsrb(tmp_path / "gtsrb")
    with ZipFile(tmp_path / "gtsrb" / "GTSRB_Final_Training_Images.zip", "a") as archive:
        archive.writestr("GTSRB/Final_Training/Images/00001/00002_00000.ppm", b"P6 4 4 255 short")
    publish(monkeypatch, Gtsrb, tmp_path / "gtsrb")
    with pytest.raises(BadInput, match=r"00001/00002_00000\.ppm: unreadable"):
        Gtsrb().decode(tmp_path)


@pytest.mark.parametrize("size", [0, -3, True, 2.5])
def test_size_must_be_pixels(size: int) -> None:
    with pytest.raises(BadInput, match=r"dataset\.size="):
        Gtsrb(size=size)
