# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions of Samba that a test has answered otherwise."""

import pathlib
import subprocess

SOURCES = pathlib.Path(__file__).parents[1] / "preload"


def preloaded(bed, source):
    """A library for LD_PRELOAD in every node, made of one of preload/: the
    word for env(1)."""
    name = source.replace(".c", ".so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", bed.dir / "shared" / name,
                    SOURCES / source], check=True)
    return f"LD_PRELOAD=/shared/{name}"
