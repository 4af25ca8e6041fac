# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of ownership (doc/model) holds, and each rule in it is needed."""
import pathlib
import re

import pytest

from lanes import program

RUN = pathlib.Path(__file__).resolve().parents[2] / 'doc/model/run'
SECONDS = 600  # alone on a core none takes more than 20

HOLDS = {
    'three nodes are safe': (['N=3', 'FAULTS=1', 'RETURNS=1'], 1000000),
    'two nodes with a third vote are safe':
        (['N=2', 'FAULTS=2', 'RETURNS=1'], 5000000),
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
    'M_UNSETTLED': (['FAULTS=2'], WRITERS),
    'M_ORPHAN': (['FAULTS=1'], WRITERS),
    'M_NO_TAG': (['FAULTS=2'], EPOCH),
    'M_NOTE_BLIND': (['FAULTS=2'], EPOCH),
    'M_RESUMED': (['FAULTS=2', 'RETURNS=0', 'PROGRESS'], r'acceptance cycle'),
}


def run(name):
    if name in HOLDS:
        defines = HOLDS[name][0]
    else:
        defines = ['N=2', *BREAKS[name][0], name]
        if 'RETURNS=0' not in defines:
            defines.append('RETURNS=1')
    return program([RUN, *('-D' + word for word in defines)], SECONDS,
                   nice=15)


@pytest.mark.parametrize('name', HOLDS)
@pytest.mark.program
def test_holds(name):
    ran = run(name)
    print(ran.stdout[:20000])
    assert ran.returncode == 0
    seen = int(re.search(r'(\d+) states, stored', ran.stdout).group(1))
    assert seen > HOLDS[name][1], 'the model has lost behaviour'


@pytest.mark.parametrize('name', BREAKS)
@pytest.mark.program
def test_without_the_rule_it_breaks(name):
    ran = run(name)
    print(ran.stdout[:20000])
    assert ran.returncode == 1
    assert re.search(BREAKS[name][1], ran.stdout)


def test_every_rule_is_tried():
    text = (RUN.parent / 'ownership.pml').read_text(encoding='utf-8')
    assert set(re.findall(r'\b(M_[A-Z_]+)', text)) == set(BREAKS)
