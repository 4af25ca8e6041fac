# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every cmocka program, built with ASan and UBSan, as one test each."""
import os
import pathlib
import re
import tempfile

import pytest

from lanes import program

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SOFS_BUILD', TOP / 'build'))
SECONDS = 300


def names():
    """Expected are the sources with a main(), not what happens to be built."""
    return sorted(path.stem for path in (TOP / 'test/unit').glob('*.c')
                  if re.search(r'^(int )?main\s*\(', path.read_text(), re.M))


def run(name):
    env = dict(os.environ, LC_ALL='C',
               ASAN_OPTIONS='detect_leaks=1:abort_on_error=0',
               UBSAN_OPTIONS='print_stacktrace=1')
    with tempfile.TemporaryDirectory() as work:
        return program([BUILD / 'test/unit' / name], SECONDS, cwd=work,
                       env=env)


@pytest.mark.parametrize('name', names())
@pytest.mark.program
def test_unit(name):
    ran = run(name)
    print(ran.stdout)
    assert ran.returncode == 0, f'{name} ended with {ran.returncode}'
    assert re.search(r'PASSED +\] [1-9][0-9]* test', ran.stdout), \
        f'{name} ran no test'
