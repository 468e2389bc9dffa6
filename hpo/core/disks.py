"""The disk of a path: its free space, and whether other machines write to it."""

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
"""Prefixes of network file systems' names; `fuse.` may precede them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A file system.

    Attributes:
        kind: type by the kernel's name: `ext4`, `nfs4`; `unknown` if it has none.
        mount: its mount point.
        free: free space in bytes.
    """

    kind: str
    mount: Path
    free: int

    @property
    def is_shared(self) -> bool:
        """Whether it is reached over a network."""
        return self.kind.removeprefix("fuse.").startswith(NETWORK)


def disk_of(path: Path) -> Disk:
    """Returns the disk of a path, or of its nearest existing parent.

    Raises:
        OSError: if it cannot be read.
    """
    import psutil  # imported here because it takes 40 ms

    path = Path(os.path.realpath(path))
    while not os.path.exists(path) and path != path.parent:
        path = path.parent
    free = shutil.disk_usage(path).free
    mounts = [(Path(one.mountpoint), one.fstype) for one in psutil.disk_partitions(all=True)]
    # The last mount hides earlier ones at the same folder.
    above = [
        (len(mount.parts), at, mount, kind) for at, (mount, kind) in enumerate(mounts) if path.is_relative_to(mount)
    ]
    if not above:
        return Disk(kind="unknown", mount=Path(path.anchor), free=free)
    *_, mount, kind = max(above)
    return Disk(kind=kind, mount=mount, free=free)
