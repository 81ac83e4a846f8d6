"""Opening a dataset by name, or a folder of pictures as it lies."""

from __future__ import annotations

from pathlib import Path

from streetvision.base.paths import expanded
from streetvision.sources.dataset import Dataset
from streetvision.sources.listed import SUFFIX, ListedDataset
from streetvision.sources.place import dataset_names, existing_folder


def open_dataset(name: str, *, state: Path) -> Dataset:
    """The dataset of this name in the state folder, a list of pictures, or those of a folder (or CSV manifest).

    A folder is only read: all that is sound in it forms the split `test`. Raises SourceError with one sentence.
    """
    path = expanded(name)
    if path.suffix == SUFFIX and path.is_file():
        return ListedDataset(path)
    if name not in dataset_names(state) and (path.exists() or "/" in name):
        from streetvision.sources.folder_dataset import FolderDataset

        return FolderDataset(path)
    from streetvision.sources.stored import StoredDataset

    return StoredDataset(existing_folder(name, state))
