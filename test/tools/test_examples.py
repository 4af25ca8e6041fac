# SPDX-License-Identifier: GPL-3.0-or-later
"""Every smb.conf fragment in examples/ is one that Samba takes as it is."""
import os
import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]


def run_testparm(path):
    samba = os.environ.get('SOFS_SAMBA') or subprocess.check_output(
        [TOP / 'samba/build', '--where'], text=True).strip()
    return subprocess.run([samba + '/prefix/bin/testparm', '-s', path],
                          capture_output=True, text=True, check=False)


def complaints(ran):
    return re.findall(r'.*(?:unknown parameter|ignoring|found in service|'
                      r'error|invalid).*', ran.stderr, re.I)


@pytest.mark.parametrize('path', sorted((TOP / 'examples').glob('*.conf')),
                         ids=lambda path: path.name)
def test_testparm_accepts(path):
    ran = run_testparm(path)
    assert ran.returncode == 0, ran.stderr
    assert complaints(ran) == []
    shares = re.findall(r'^\[(?!global)(\w+)\]', path.read_text(), re.M)
    assert re.findall(r'^\[(?!global)(\w+)\]', ran.stdout, re.M) == shares


def test_complaints_are_seen(tmp_path):
    path = tmp_path / 'bad.conf'
    path.write_text('[s]\n\tpath = /\n\tkernel change notify = no\n'
                    '\tno such thing = 1\n')
    assert len(complaints(run_testparm(path))) >= 2
