"""Data sets of the Hugging Face hub, downloaded once into local Arrow files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from benchmark.data.tables import nearest
from benchmark.errors import BadInput


def fetch(
    name: str, config: str | None, revision: str | None, splits: Sequence[str], downloads: Path
) -> list[list[Path]]:
    """The files of some splits; the hub is asked, and the `datasets` library imported, only the first time.

    A note in `downloads` remembers what was fetched, so that a data set that changes on the hub, or a machine without
    network, changes no later run.

    Args:
        name: "owner/name" on the hub.
        config: which of its configurations; None where it has one.
        revision: branch, tag or commit; None for the main branch.
        splits: names of splits.
        downloads: folder for the files and the note.

    Returns:
        Arrow files of each split.

    Raises:
        BadInput: no network, no such data set, revision, configuration or split, or one not stored as Parquet.
    """
    identity = json.dumps([name, config, revision, list(splits)])
    note = downloads / f"{name.replace('/', '--')}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.json"
    if note.is_file():
        files = [[downloads / file for file in split] for split in json.loads(note.read_text())]
        if all(file.is_file() for split in files for file in split):
            return files
    files = _download(name, config, revision, splits, downloads)
    relative = [[os.path.relpath(file, downloads) for file in split] for split in files]
    with NamedTemporaryFile("w", dir=downloads, suffix=".tmp", delete=False) as temporary:
        json.dump(relative, temporary)
    os.replace(temporary.name, note)
    return files


def _download(
    name: str, config: str | None, revision: str | None, splits: Sequence[str], downloads: Path
) -> list[list[Path]]:
    import datasets
    from datasets.packaged_modules.parquet.parquet import Parquet

    try:
        builder = datasets.load_dataset_builder(name, config, revision=revision, cache_dir=str(downloads))
        is_parquet = isinstance(builder, Parquet)
        if is_parquet:  # other readers, and scripts, would open what we do not vouch for
            builder.download_and_prepare()
    except Exception as error:  # datasets, huggingface_hub and the HTTP client below them share no base class
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise BadInput(
            f"dataset.path={name}: no such folder here, and the Hugging Face hub did not give it ({reason}); "
            "correct the name, connect to the network, or download its Parquet files and give their folder"
        ) from error
    if not is_parquet:
        raise BadInput(
            f"dataset.path={name}: not stored as Parquet on the hub; "
            "try the hub's own copy, dataset.revision=refs/convert/parquet"
        )
    for split in splits:
        if split not in builder.info.splits:
            raise BadInput(f"dataset.path={name}: no split {split}; {nearest(split, builder.info.splits)}")
    return [[Path(file["filename"]) for file in builder.as_dataset(split=split).cache_files] for split in splits]
