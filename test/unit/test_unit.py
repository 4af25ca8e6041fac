# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every cmocka program, built with ASan and UBSan, as one test each."""
import os
import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SOFS_BUILD', TOP / 'build'))
SECONDS = 300


def names():
    """Expected are the sources with a main(), not what happens to be built."""
    return sorted(path.stem for path in (TOP / 'test/unit').glob('*.c')
                  if re.search(r'^(int )?main\s*\(', path.read_text(), re.M))


@pytest.mark.parametrize('name', names())
def test_unit(name, tmp_path):
    env = dict(os.environ, LC_ALL='C',
               ASAN_OPTIONS='detect_leaks=1:abort_on_error=0',
               UBSAN_OPTIONS='print_stacktrace=1')
    ran = subprocess.run([str(BUILD / 'test/unit' / name)], cwd=tmp_path,
                         env=env, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=SECONDS,
                         check=False)
    text = ran.stdout.decode(errors='replace')
    print(text)
    assert ran.returncode == 0, f'{name} ended with {ran.returncode}'
    assert re.search(r'PASSED +\] [1-9][0-9]* test', text), \
        f'{name} ran no test'
