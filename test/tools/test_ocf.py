# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions that csvd gives to resource agents, against resource-agents'
own: the same answers, with fewer processes."""
import pathlib
import subprocess

import pytest

OURS = pathlib.Path(__file__).resolve().parents[2] / 'csvd/ocf'
AGENT = '/usr/lib/ocf/resource.d/heartbeat/Filesystem'
THEIRS = '/usr/lib/ocf/lib/heartbeat'
ENV = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C',
       'OCF_ROOT': '/usr/lib/ocf', 'OCF_RA_VERSION_MAJOR': '1',
       'OCF_RESOURCE_INSTANCE': 'csv-vol1-0', 'HA_LOGFACILITY': 'none',
       'OCF_RESKEY_device': '/dev/null', 'OCF_RESKEY_directory': '/proc',
       'OCF_RESKEY_fstype': 'xfs'}


def sh(functions, script):
    """What dash says of it, in a PID namespace of its own."""
    return subprocess.run(
        ['unshare', '--pid', '--fork', 'sh', '-c', script], text=True,
        env={**ENV, 'OCF_FUNCTIONS_DIR': str(functions)},
        stdin=subprocess.DEVNULL, capture_output=True, check=False)


@pytest.mark.parametrize('script', [
    f'have_binary {word}' for word in (
        'sh', '"fsck -p"', '/bin/ls', 'no-such-program', '"no-such -p"', '""')
] + ['is_redhat_based', 'is_debian_based', 'check_binary no-such-program',
     'OCF_TESTER_FAIL_HAVE_BINARY=1; have_binary sh',
     'ocf_exit_reason "disk %s" gone; false'])
def test_same_answers(script):
    """Exit code and the words, whatever date stands before them."""
    said = [sh(functions, '. $OCF_FUNCTIONS_DIR/ocf-shellfuncs; ' + script)
            for functions in (OURS, THEIRS)]
    print(said)
    assert said[0].returncode == said[1].returncode
    assert said[0].stdout == said[1].stdout
    assert said[1].stderr.endswith(said[0].stderr)


def test_log_has_no_date():
    """csvd writes what the agent prints, with a time of its own."""
    done = sh(OURS, '. $OCF_FUNCTIONS_DIR/ocf-shellfuncs; '
              'ocf_log err "a * b"')
    assert (done.stdout, done.stderr) == ('', 'ERROR: a * b\n')


def processes(functions, action):
    """How many processes an action of the agent takes, and its exit code:
    PIDs of a namespace are given out in their order."""
    done = sh(functions, f'{AGENT} {action} >&2; echo $?; sh -c \'echo $$\'')
    code, last = done.stdout.split()
    print(functions, action, code, last, done.stderr)
    return int(last), int(code)


@pytest.mark.parametrize('action', ['monitor', 'validate-all'])
def test_half_the_processes(action):
    """Of what an agent does before its work."""
    ours, theirs = processes(OURS, action), processes(THEIRS, action)
    assert ours[1] == theirs[1]
    assert ours[0] <= 0.6 * theirs[0]
