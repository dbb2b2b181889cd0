"""A volume as the kubelet keeps it: every file behind ``..data``, swapped by one rename."""

import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path

__all__ = ["Volume"]


class Volume:
    """A directory whose contents change all at once."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._numbers = count()

    def swap(self, files: Mapping[str, bytes]) -> None:
        """Puts new contents in place, and removes the old ones."""
        data = self.directory / "..data"
        old = self.directory / os.readlink(data) if data.is_symlink() else None
        new = self.directory / f"..{next(self._numbers)}"
        new.mkdir()
        for name, content in files.items():
            (new / name).write_bytes(content)
            link = self.directory / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        temporary = self.directory / "..data_tmp"
        temporary.symlink_to(new.name)
        temporary.rename(data)
        if old is not None:
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
