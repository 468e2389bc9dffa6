"""Which disk a path lies on, how much room it has, and whether other machines write there too."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

NETWORK = (
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "davfs",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "orangefs",
    "s3fs",
    "smb",
    "sshfs",
    "virtiofs",
)
"""How the names of file systems begin that other machines write to as well; `fuse.` may precede them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A file system.

    Attributes:
        kind: its type, as the kernel calls it: `ext4`, `nfs4`; `unknown` where it does not say.
        mount: the folder it begins at.
        free: bytes that may still be written.
    """

    kind: str
    mount: Path
    free: int

    @property
    def is_shared(self) -> bool:
        """Whether it is reached over a network."""
        return self.kind.removeprefix("fuse.").startswith(NETWORK)


def disk_of(path: Path) -> Disk:
    """Returns the disk of a path, or of the nearest folder above it that there is.

    Raises:
        OSError: if it cannot be looked at.
    """
    import psutil  # 40 ms, which no other command than the one that asks should pay

    path = Path(os.path.realpath(path))
    while not os.path.exists(path) and path != path.parent:
        path = path.parent
    free = shutil.disk_usage(path).free
    mounts = [(Path(one.mountpoint), one.fstype) for one in psutil.disk_partitions(all=True)]
    # What was mounted last hides what was mounted at the same folder before.
    above = [
        (len(mount.parts), at, mount, kind) for at, (mount, kind) in enumerate(mounts) if path.is_relative_to(mount)
    ]
    if not above:
        return Disk(kind="unknown", mount=Path(path.anchor), free=free)
    *_, mount, kind = max(above)
    return Disk(kind=kind, mount=mount, free=free)
