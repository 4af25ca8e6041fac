# SPDX-License-Identifier: GPL-3.0-or-later
"""samba/fetch, samba/deps and samba/build: one clear error for each thing that
can be wrong, and a stamp that only a whole, unharmed prefix has.

Works on a copy of samba/ whose pin names a small tarball made here; the
archives are real HTTP servers on loopback and apt is the real one.
"""
import functools
import hashlib
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import threading

import pytest

pytestmark = pytest.mark.patient

TOP = pathlib.Path(__file__).resolve().parents[2]
POOL = 'pool/main/s/samba/samba_4.25.0+dfsg.orig.tar.xz'
NOBODY = 'http://127.0.0.1:1'      # nothing listens on port 1
RUNS = ['configure', 'build', 'install']
PACKAGE = 'Package: x\nVersion: 1\nArchitecture: all\nFilename: x\nSize: 0\n'

# Stands for Samba's build system in the small tarball: "installs" what
# samba/build asks for, counts its runs and can be told to fail half-way.
WAF = '''
import os, pathlib, sys
verb = sys.argv[1]
top = pathlib.Path(os.getcwd()).parent
with open(os.environ['RUNS'], 'a') as file:
    file.write(verb + chr(10))
if verb == 'configure':
    if os.environ.get('XSLTPROC') != '/bin/false':
        sys.exit('XSLTPROC is not set')
    sys.exit(0)
if verb == 'build':
    (top / 'src/bin/default').mkdir(parents=True)
    (top / 'src/bin/default/compile_commands.json').write_text('[]')
    sys.exit(0)
files = ['prefix/bin/net', 'prefix/sbin/smbd', 'prefix/sbin/winbindd',
         'prefix/sbin/ctdbd', 'prefix/lib/liba.so',
         'src/pidl/pidl',
         'src/bin/default/include/config.h',
         'prefix/libexec/samba/samba-dcerpcd']
for name in files:
    if os.environ.get('FAIL') and 'ctdbd' in name:
        sys.exit('told to fail')
    path = top / name
    if path.name == os.environ.get('NO'):
        continue
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
'''


class Bed:
    """A copy of samba/ with a pin of its own, and an empty cache."""

    def __init__(self, path):
        self.path = path
        self.samba = path / 'samba'
        self.cache = path / 'cache'
        shutil.copytree(TOP / 'samba', self.samba)
        shutil.rmtree(self.samba / 'patches')
        (self.samba / 'patches').mkdir()
        (self.samba / 'packages').write_text('bash\n')
        self.tarball = path / 'small.tar.xz'
        self.make_tarball()
        self.pin(SAMBA_SIZE=self.tarball.stat().st_size,
                 SAMBA_SHA256=hashlib.sha256(
                     self.tarball.read_bytes()).hexdigest(),
                 SAMBA_UPSTREAM=NOBODY)
        self.env = dict(os.environ, SOFS_CACHE=str(self.cache), LC_ALL='C',
                        RUNS=str(path / 'runs'))
        self.env.pop('SAMBA_TARBALL', None)
        self.env.pop('SOFS_SAMBA', None)

    def make_tarball(self):
        tree = self.path / 'samba-4.25.0/buildtools/bin'
        tree.mkdir(parents=True)
        (tree / 'waf').write_text(WAF)
        (self.path / 'samba-4.25.0/VERSION').write_text('4.25.0\n')
        with tarfile.open(self.tarball, 'w:xz') as tar:
            tar.add(self.path / 'samba-4.25.0', 'samba-4.25.0')

    def pin(self, **values):
        version = self.samba / 'version'
        text = version.read_text()
        for name, value in values.items():
            text = re.sub(f'^{name}=.*$', f'{name}={value}', text, flags=re.M)
        version.write_text(text)

    def run(self, script, *args, **env):
        return subprocess.run([self.samba / script, *args], text=True,
                              env={**self.env, **env}, capture_output=True,
                              timeout=60, check=False)

    def build(self, **env):
        return self.run('build', SAMBA_TARBALL=str(self.tarball), **env)

    def runs(self):
        path = self.path / 'runs'
        return path.read_text().split() if path.exists() else []

    def where(self):
        return pathlib.Path(self.run('build', '--where').stdout.strip())


@pytest.fixture(name='bed')
def bed_fixture(tmp_path):
    return Bed(tmp_path)


@pytest.fixture(name='serve')
def serve_fixture():
    """serve(folder) gives the address of an HTTP server of that folder."""
    servers = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    def serve(folder):
        handler = functools.partial(Handler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f'http://127.0.0.1:{server.server_port}'

    def stop():
        while servers:
            server = servers.pop()
            server.shutdown()
            server.server_close()

    serve.stop = stop
    yield serve
    stop()


def archive(folder, origin):
    """A Debian archive with one empty index, as apt wants to see it."""
    codename = re.search(r'VERSION_CODENAME=(\w+)',
                         pathlib.Path('/etc/os-release').read_text()).group(1)
    arch = subprocess.check_output(['dpkg', '--print-architecture'],
                                   text=True).strip()
    index = folder / f'dists/{codename}/main/binary-{arch}/Packages'
    index.parent.mkdir(parents=True)
    index.write_text(PACKAGE)
    release = folder / f'dists/{codename}/Release'
    release.write_text(
        f'Origin: {origin}\nLabel: {origin}\nCodename: {codename}\n'
        f'Suite: {codename}\nComponents: main\nArchitectures: {arch}\n'
        f'SHA256:\n {hashlib.sha256(PACKAGE.encode()).hexdigest()} {len(PACKAGE)} '
        f'main/binary-{arch}/Packages\n')
    return codename


@pytest.fixture(name='apt')
def apt_fixture(bed, serve):
    """An apt whose only archives are ours; another vendor's comes first."""
    lines = []
    for origin in ('Somebody', 'Debian'):
        folder = bed.path / origin
        codename = archive(folder, origin)
        lines.append(f'deb [trusted=yes] {serve(folder)} {codename} main\n')
    (bed.path / 'sources.list').write_text(''.join(lines))
    for folder in ('lists/partial', 'aptcache/archives/partial', 'parts'):
        (bed.path / folder).mkdir(parents=True)
    config = bed.path / 'apt.conf'
    config.write_text(
        f'Dir::Etc::SourceList "{bed.path}/sources.list";\n'
        f'Dir::Etc::SourceParts "{bed.path}/parts";\n'
        f'Dir::State::Lists "{bed.path}/lists";\n'
        f'Dir::Cache "{bed.path}/aptcache";\n'
        'APT::Sandbox::User "root";\nAcquire::Languages "none";\n'
        'Acquire::http::Proxy "DIRECT";\n')
    bed.env['APT_CONFIG'] = str(config)
    subprocess.run(['apt-get', 'update'], env=bed.env, check=True,
                   capture_output=True)
    pool = bed.path / 'Debian' / POOL
    pool.parent.mkdir(parents=True)
    shutil.copy(bed.tarball, pool)
    return pool


def failed(ran, words):
    """Ended non-zero, with exactly one line that says error, and says it."""
    errors = [line for line in ran.stderr.splitlines() if 'error:' in line]
    print(ran.stderr)
    assert ran.returncode != 0
    assert len(errors) == 1
    assert words in errors[0]


def test_local_copy_missing(bed):
    failed(bed.run('fetch', SAMBA_TARBALL='/nowhere/samba.tar.xz'),
           'SAMBA_TARBALL=/nowhere/samba.tar.xz: no such file')


def test_local_copy_of_wrong_size(bed):
    with open(bed.tarball, 'ab') as file:
        file.write(b'x')
    failed(bed.build(), 'wrong size of SAMBA_TARBALL=')


def test_local_copy_with_wrong_checksum(bed):
    data = bytearray(bed.tarball.read_bytes())
    data[-1] ^= 1
    bed.tarball.write_bytes(data)
    failed(bed.build(), 'wrong checksum of SAMBA_TARBALL=')
    assert bed.runs() == []


def test_mirror_that_is_not_debians_is_not_asked(bed, apt):
    ran = bed.run('fetch')
    assert ran.returncode == 0, ran.stderr
    fetched = pathlib.Path(ran.stdout.strip())
    assert fetched.read_bytes() == bed.tarball.read_bytes()
    assert list((bed.cache / 'tarballs').iterdir()) == [fetched]
    apt.unlink()
    again = bed.run('fetch')    # from the cache now
    assert (again.returncode, again.stdout) == (0, ran.stdout)


def test_mirror_gives_wrong_file(bed, apt):
    data = bytearray(apt.read_bytes())
    data[-1] ^= 1
    apt.write_bytes(data)
    failed(bed.run('fetch'), "wrong checksum of the Debian archive's tarball")
    assert list((bed.cache / 'tarballs').iterdir()) == []


def test_no_mirror_answers(bed, apt, serve):
    assert apt.exists()
    serve.stop()
    ran = bed.run('fetch')
    failed(ran, 'no mirror has given')
    assert 'Debian archive: ' in ran.stderr and 'samba.org: ' in ran.stderr


@pytest.fixture(name='signer')
def signer_fixture(bed, serve):
    """samba.org with a release signed by a key of ours."""
    folder = bed.path / 'upstream'
    home = bed.path / 'g'
    (folder / 'stable').mkdir(parents=True)
    home.mkdir(mode=0o700)

    def gpg(*args):
        return subprocess.run(
            ['gpg', '--homedir', home, '--batch', '--passphrase', '', *args],
            check=True, capture_output=True, text=True).stdout

    name = folder / 'stable/samba-4.25.0.tar'
    try:
        gpg('--quick-gen-key', 'release@example.org', 'ed25519', 'sign')
        key = re.search(r'^fpr:+(\w+):', gpg('--list-keys', '--with-colons'),
                        re.M).group(1)
        gpg('-o', str(folder / 'samba-pubkey.asc'), '--armor', '--export')
        with tarfile.open(name, 'w') as tar:
            tar.add(bed.path / 'samba-4.25.0', 'samba-4.25.0')
        gpg('-o', str(name) + '.asc', '--armor', '--detach-sign', str(name))
    finally:
        subprocess.run(['gpgconf', '--homedir', home, '--kill', 'all'],
                       check=False)
    subprocess.run(['gzip', '-k', name], check=True)
    bed.pin(SAMBA_UPSTREAM=serve(folder), SAMBA_UPSTREAM_KEY=key)
    return name


def test_upstream_is_taken_by_its_signature(bed, apt, signer):
    apt.unlink()
    ran = bed.run('fetch')
    assert ran.returncode == 0, ran.stderr
    fetched = pathlib.Path(ran.stdout.strip())
    assert fetched.read_bytes() == signer.read_bytes()


def test_upstream_of_another_signer_is_refused(bed, apt, signer):
    assert signer.exists()
    apt.unlink()
    bed.pin(SAMBA_UPSTREAM_KEY='0' * 40)
    failed(bed.run('fetch'), "bad signature on samba.org's")


def test_missing_package(bed):
    (bed.samba / 'packages').write_text('bash\nno-such-package-1  # why\n')
    failed(bed.build(), 'missing Debian packages: no-such-package-1 (')
    failed(bed.run('deps', '--check', str(bed.samba / 'packages')),
           'missing Debian packages: no-such-package-1 (')


def test_deps_leaves_apt_alone_when_all_is_there(bed):
    ran = bed.run('deps', str(bed.samba / 'packages'),
                  APT_CONFIG='/nowhere', PATH='/usr/bin:/bin')
    assert (ran.returncode, ran.stderr) == (0, '')


def test_patch_that_does_not_apply(bed):
    (bed.samba / 'patches/0001-x.patch').write_text(
        '--- a/VERSION\n+++ b/VERSION\n@@ -1 +1 @@\n-4.24.0\n+x\n')
    failed(bed.build(), '0001-x.patch does not apply')


def test_patch_is_applied_and_changes_the_key(bed):
    before = bed.where()
    (bed.samba / 'patches/0001-x.patch').write_text(
        '--- a/VERSION\n+++ b/VERSION\n@@ -1 +1 @@\n-4.25.0\n+patched\n')
    assert bed.build().returncode == 0
    assert bed.where() != before
    assert (bed.where() / 'src/VERSION').read_text() == 'patched\n'


def test_built_once(bed):
    assert bed.build().returncode == 0
    assert bed.runs() == RUNS
    # without tarball and mirror now: nothing of it is needed any more
    again = bed.run('build')
    assert (again.returncode, again.stderr) == (0, '')
    assert bed.runs() == RUNS


def test_failed_build_is_not_taken(bed):
    failed(bed.build(FAIL='1'), 'failed; see')
    assert bed.run('build', '--check').returncode != 0
    assert bed.build().returncode == 0
    assert bed.runs() == RUNS * 2


def test_incomplete_build_gets_no_stamp(bed):
    failed(bed.build(NO='winbindd'), 'the build made no winbindd')
    assert not (bed.where() / 'stamp').exists()


@pytest.mark.parametrize('harm', ['truncate', 'remove'])
def test_damaged_prefix_is_rebuilt(bed, harm):
    assert bed.build().returncode == 0
    smbd = bed.where() / 'prefix/sbin/smbd'
    if harm == 'truncate':
        smbd.write_text('prefix/sbin/smb')
    else:
        smbd.unlink()
    ran = bed.build()
    assert ran.returncode == 0
    assert 'is damaged, building it again' in ran.stderr
    assert bed.runs() == RUNS * 2
    assert smbd.read_text() == 'prefix/sbin/smbd'


def test_files_added_to_the_prefix_are_no_damage(bed):
    assert bed.build().returncode == 0
    (bed.where() / 'prefix/lib/csv.so').write_text('our module')
    assert bed.build().returncode == 0
    assert bed.runs() == RUNS


def test_two_builds_at_once_build_once(bed):
    env = dict(bed.env, SAMBA_TARBALL=str(bed.tarball))
    both = [subprocess.Popen([bed.samba / 'build'], env=env,
                             stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, text = process.communicate(timeout=60)
        assert process.returncode == 0, text
    assert bed.runs() == RUNS
