# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks on the sources themselves, and that the checks can fail."""
import pathlib
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]
SIZES = TOP / 'test/tools/sizes'


def sizes(top):
    return subprocess.run([SIZES, top], capture_output=True, text=True,
                          check=False)


def test_sizes_are_within_the_caps():
    ran = sizes(TOP)
    print(ran.stdout)
    assert ran.returncode == 0


def test_a_function_over_the_cap_fails(tmp_path):
    body = '\tx();\n' * 148
    source = tmp_path / 'a.c'
    source.write_text('static int f(int a,\n\t     int b)\n{\n' + body + '}\n')
    ran = sizes(tmp_path)
    assert ran.returncode == 1
    assert 'error: f (a.c): 152 lines' in ran.stdout
    source.write_text('static int f(int a)\n{\n' + body[:-5 * 1] + '}\n')
    assert sizes(tmp_path).returncode == 0


def test_a_file_over_the_cap_fails(tmp_path):
    (tmp_path / 'a.c').write_text('int a;\n' * 1001)
    ran = sizes(tmp_path)
    assert ran.returncode == 1
    assert 'error: a.c: 1001 lines' in ran.stdout


def shell_scripts():
    for path in sorted(TOP.rglob('*')):
        inside = path.relative_to(TOP)
        if inside.parts[0] in ('build', '.git') or not path.is_file():
            continue
        if path.suffix in ('.sh', '.script') or not path.suffix:
            with open(path, 'rb') as file:
                first = file.readline(80)
            if first.startswith(b'#!') and b'sh' in first.split(b'/')[-1]:
                yield str(inside)


def test_shell_scripts_pass_shellcheck():
    scripts = list(shell_scripts())
    assert 'samba/build' in scripts
    scripts.append('csvd/ocf/ocf-shellfuncs')
    ran = subprocess.run(['shellcheck', '-x', *scripts], cwd=TOP, text=True,
                         capture_output=True, check=False)
    print(ran.stdout)
    assert ran.returncode == 0
