# SPDX-License-Identifier: GPL-3.0-or-later
"""A smoke run of every fuzz target, SOFS_FUZZ_SECONDS (60) for all of them."""
import os
import pathlib
import re
import tempfile

import pytest

from lanes import program

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get('SOFS_BUILD', HERE.parents[1] / 'build'))
TOTAL = int(os.environ.get('SOFS_FUZZ_SECONDS', '60'))


def names():
    return sorted(path.stem for path in HERE.glob('*.c')
                  if 'LLVMFuzzerTestOneInput' in path.read_text())


def run(name):
    """The program's end, and for how long it was to run. An input that it
    does not survive is kept below the build directory."""
    seconds = max(3, TOTAL // len(names()))
    found = BUILD / 'test-logs/fuzz'
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        corpora = [corpus]
        if (HERE / 'corpus' / name).is_dir():
            corpora.append(HERE / 'corpus' / name)
        return seconds, program(
            [BUILD / 'test/fuzz' / name, f'-max_total_time={seconds}',
             f'-artifact_prefix={found}/{name}-', '-timeout=10',
             '-rss_limit_mb=2048', '-print_final_stats=1', *corpora],
            seconds + 120, nice=15)


@pytest.mark.parametrize('name', names())
@pytest.mark.program
def test_fuzz(name):
    seconds, ran = run(name)
    print(ran.stdout[-20000:])
    assert ran.returncode == 0, f'{name} found something'
    runs = int(re.search(r'number_of_executed_units: (\d+)',
                         ran.stdout).group(1))
    assert runs > 1000, f'{name} got only {runs} inputs in {seconds} s'
