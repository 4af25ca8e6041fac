# SPDX-License-Identifier: GPL-3.0-or-later
"""A smoke run of every fuzz target, SOFS_FUZZ_SECONDS (60) for all of them."""
import os
import pathlib
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get('SOFS_BUILD', HERE.parents[1] / 'build'))
TOTAL = int(os.environ.get('SOFS_FUZZ_SECONDS', '60'))


def names():
    return sorted(path.stem for path in HERE.glob('*.c')
                  if 'LLVMFuzzerTestOneInput' in path.read_text())


@pytest.mark.parametrize('name', names())
def test_fuzz(name, tmp_path):
    seconds = max(3, TOTAL // len(names()))
    corpus = [str(tmp_path / 'found')]
    os.mkdir(corpus[0])
    if (HERE / 'corpus' / name).is_dir():
        corpus.append(str(HERE / 'corpus' / name))
    ran = subprocess.run(
        [str(BUILD / 'test/fuzz' / name), f'-max_total_time={seconds}',
         f'-artifact_prefix={tmp_path}/', '-timeout=10', '-rss_limit_mb=2048',
         '-print_final_stats=1', *corpus],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=seconds + 120, check=False)
    text = ran.stdout.decode(errors='replace')
    print(text[-20000:])
    assert ran.returncode == 0, f'{name} found something: see {tmp_path}'
    runs = int(re.search(r'number_of_executed_units: (\d+)', text).group(1))
    assert runs > 1000, f'{name} got only {runs} inputs in {seconds} s'
