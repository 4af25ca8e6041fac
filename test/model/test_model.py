# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of ownership (doc/model) holds, and each rule in it is needed."""
import pathlib
import re
import subprocess

import pytest

RUN = pathlib.Path(__file__).resolve().parents[2] / 'doc/model/run'
SECONDS = 600  # alone on a core none takes more than 15

HOLDS = {
    'three nodes are safe': (['N=3', 'FAULTS=1', 'RETURNS=1'], 1000000),
    'two nodes with a third vote are safe':
        (['N=2', 'FAULTS=2', 'RETURNS=1'], 2000000),
    'the volume gets Active again':
        (['N=2', 'FAULTS=1', 'RETURNS=1', 'PROGRESS'], 30000),
}

# what is taken away, and what must then go wrong
WRITERS = r'assertion violated .*mnt\['
EPOCH = r'assertion violated \(\(vep'
BREAKS = {
    'M_NO_FENCE': (['FAULTS=1'], WRITERS),
    'M_GLOCK': (['FAULTS=1'], WRITERS),
    'M_SAME_EPOCH': (['FAULTS=1'], EPOCH),
    'M_GUARD_EARLY': (['FAULTS=1'], WRITERS),
    'M_RECORD_LATE': (['FAULTS=1'], WRITERS),
    'M_ONE_COMMIT': (['FAULTS=1'], WRITERS),
    'M_MINORITY': (['FAULTS=1'], WRITERS),
    'M_ORPHAN': (['FAULTS=1'], WRITERS),
    'M_NO_TAG': (['FAULTS=2'], EPOCH),
    'M_RESUMED': (['FAULTS=2', 'RETURNS=0', 'PROGRESS'], r'acceptance cycle'),
}


def run(defines):
    ran = subprocess.run([RUN, *('-D' + name for name in defines)],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, timeout=SECONDS, check=False)
    print(ran.stdout[:20000])
    return ran


@pytest.mark.parametrize('name', HOLDS)
def test_holds(name):
    defines, states = HOLDS[name]
    ran = run(defines)
    assert ran.returncode == 0
    seen = int(re.search(r'(\d+) states, stored', ran.stdout).group(1))
    assert seen > states, 'the model has lost behaviour'


@pytest.mark.parametrize('name', BREAKS)
def test_without_the_rule_it_breaks(name):
    defines, fault = BREAKS[name]
    ran = run(['N=2', *(['RETURNS=1'] if 'RETURNS=0' not in defines else []),
               *defines, name])
    assert ran.returncode == 1
    assert re.search(fault, ran.stdout)


def test_every_rule_is_tried():
    text = (RUN.parent / 'ownership.pml').read_text(encoding='utf-8')
    assert set(re.findall(r'\b(M_[A-Z_]+)', text)) == set(BREAKS)
