# SPDX-License-Identifier: GPL-3.0-or-later
"""The build of everything that is ours, run by the waf of a built Samba tree.

`make` calls it; by hand (out of tree, in the build directory):
    waf --top=.. --out=. configure --samba=DIR; waf build
DIR holds Samba's src/ and prefix/ (samba/build makes it).

What is built is found by folder (see build()); a new source file needs no
change here. Programs of the folders below test/ are the files with a main().
"""
import json
import os
import re
import zlib

from waflib import Errors

APPNAME = 'sofs'
VERSION = '0.1'

# Flags of our own files. Samba's headers are system headers to the compiler,
# so warnings are about our lines only.
WARNINGS = ('-Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wshadow '
            '-Wpointer-arith -Wformat=2 -Wno-unused-parameter '
            '-Werror=implicit-function-declaration '
            '-Werror=incompatible-pointer-types -Werror=int-conversion '
            '-Werror=return-type').split()
OPTIMISE = '-O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2'.split()
SANITIZE = ('-O1 -g -fno-omit-frame-pointer '
            '-fsanitize=address,undefined -fno-sanitize-recover=undefined'
            ).split()
FUZZ = '-O1 -g -fno-omit-frame-pointer'.split()

# Offered to the linker, which takes only what a program uses.
SYSTEM_LIBS = ('gnutls uring jansson popt cap keyutils tirpc bsd pthread dl '
               'rt').split()
# Samba's source4 twins of source3 libraries: only for what nothing else has.
LAST_LIBS = ('ctdb-event', 'auth4', 'samba4', 'MESSAGING', 'events',
             'smbd-base', 'torture', 'dsdb', 'samdb', 'LIBWBCLIENT',
             'registry', 'cluster-private', 'smbclient-raw', 'CHARSET3',
             'REG-FULL')
NO_LIBS = ('cpython', 'cmocka')


def options(opt):
    opt.load('compiler_c')
    opt.add_option('--samba', default='', help='directory of the built Samba')
    opt.add_option('--sanitized', action='store_true', default=False,
                   help='build the unit tests, with sanitizers')
    opt.add_option('--fuzz', action='store_true', default=False,
                   help='build the fuzz targets')


def samba_command(src):
    """How Samba itself compiles a VFS module, as (directory, words)."""
    database = os.path.join(src, 'bin/default/compile_commands.json')
    with open(database, encoding='utf-8') as file:
        for entry in json.load(file):
            if entry['file'].endswith('source3/modules/vfs_commit.c'):
                return entry['directory'], entry['arguments']
    raise Errors.WafError('%s: no command for vfs_commit.c' % database)


def has_headers(folder):
    return any(name.endswith('.h') for _, _, names in os.walk(folder)
               for name in names)


def samba_flags(src):
    """Defines and include directories of Samba, without those that hold no
    header: looking through them all took half of a compilation's time."""
    directory, words = samba_command(src)
    defines, includes = [], []
    words = iter(words)
    for word in words:
        path = None
        if word == '-isystem':
            path = next(words)
        elif word.startswith('-I'):
            path = word[2:]
        elif word.startswith('-D') and not word.startswith('-DSTATIC_'):
            defines.append(word)
        if path is not None:
            path = os.path.normpath(os.path.join(directory, path))
            if path not in includes and has_headers(path):
                includes.append(path)
    return defines, includes


def samba_libs(prefix):
    """All of the prefix's libraries, the ones to prefer first."""
    def rank(name):
        return ('smbconf' not in name,
                any(part in name for part in LAST_LIBS), name)

    names = []
    for folder in ('lib', 'lib/private'):
        for name in os.listdir(os.path.join(prefix, folder)):
            if re.fullmatch(r'lib.*\.so', name) and not any(
                    part in name for part in NO_LIBS):
                names.append(name)
    return ['-l:' + name for name in sorted(names, key=rank)]


def samba_version(src):
    with open(os.path.join(src, 'bin/default/version.h'),
              encoding='utf-8') as file:
        return re.search(r'SAMBA_VERSION_OFFICIAL_STRING "([^"]+)"',
                         file.read()).group(1)


def write_build_header(conf):
    """What our sources want to know about the build."""
    header = conf.bldnode.make_node('include/csv_build.h')
    header.parent.mkdir()
    text = ('/* made by wscript */\n'
            '#ifndef _CSV_BUILD_H_\n#define _CSV_BUILD_H_\n'
            '#define CSV_SAMBA_VERSION "%s"\n'
            '#define CSV_SAMBA_PREFIX "%s"\n'
            '#define CSV_VERSION "%s"\n'
            '#endif\n' % (conf.env.SAMBA_VERSION, conf.env.SAMBA_PREFIX,
                          VERSION))
    if not header.exists() or header.read() != text:
        header.write(text)


def configure_compiler(conf):
    env = conf.env
    prefix = env.SAMBA_PREFIX
    defines, includes = samba_flags(env.SAMBA_SRC)
    ours = [conf.path.abspath(), conf.path.make_node('include').abspath(),
            conf.bldnode.abspath(), conf.bldnode.make_node('include').abspath()]
    env.CFLAGS = (['-std=gnu11', '-fPIC', '-fvisibility=default', '-MMD'] +
                  defines + ['-I' + path for path in ours])
    for path in includes:
        env.append_value('CFLAGS', ['-isystem', path])
    env.PROGRAM_LIBS = (
        ['-L%s/lib' % prefix, '-L%s/lib/private' % prefix,
         '-Wl,-rpath,%s/lib:%s/lib/private' % (prefix, prefix),
         '-Wl,--as-needed'] + samba_libs(prefix) +
        ['-l' + name for name in SYSTEM_LIBS if have_lib(conf, name)])


def have_lib(conf, name):
    out = conf.cmd_and_log(conf.env.CC + ['-print-file-name=lib%s.so' % name])
    return os.path.isabs(out.strip())


def configure(conf):
    samba = conf.options.samba
    if not samba:
        conf.fatal('--samba=DIR is missing (make gives it)')
    conf.load('compiler_c')
    conf.load('gccdeps')
    conf.env.SAMBA_DIR = samba
    conf.env.SAMBA_SRC = os.path.join(samba, 'src')
    conf.env.SAMBA_PREFIX = os.path.join(samba, 'prefix')
    conf.env.SAMBA_VERSION = samba_version(conf.env.SAMBA_SRC)
    conf.find_program('perl', var='PERL')
    conf.find_program('xsltproc', var='XSLTPROC')
    configure_compiler(conf)
    write_build_header(conf)
    conf.find_program('clang', var='CLANG', mandatory=False)
    conf.find_program('ccache', var='CCACHE', mandatory=False)
    for compiler in ('CC', 'CLANG'):
        if conf.env[compiler]:      # there may be no clang
            conf.env[compiler] = (conf.env.CCACHE or []) + conf.env[compiler]


def idl(bld):
    """pidl makes the codec of lib/wire/csv.idl."""
    source = bld.path.find_node('lib/wire/csv.idl')
    if source is None:
        return
    src = bld.env.SAMBA_SRC
    bld(rule='CPP="gcc -E" ${PERL} %s/pidl/pidl --quiet --outputdir=%s '
             '--header --ndr-parser --includedir=%s/librpc/idl -- ${SRC}' % (
                 src, bld.bldnode.make_node('gen_ndr').abspath(), src),
        source=source, name='pidl',
        target='gen_ndr/csv.h gen_ndr/ndr_csv.c gen_ndr/ndr_csv.h')


def variant_env(bld, flags, compiler=None):
    env = bld.env.derive()
    env.detach()
    if compiler:
        env.CC = compiler
        env.LINK_CC = compiler
    env.append_value('CFLAGS', flags)
    env.append_value('LINKFLAGS',
                     [f for f in flags if f.startswith('-fsanitize')])
    return env


def has_main(node):
    return re.search(r'^(int )?main\s*\(|^int LLVMFuzzerTestOneInput\s*\(',
                     node.read(encoding='utf-8'), re.M) is not None


def named(task_gen):
    """Objects are named by target, not by order: variants share build/."""
    task_gen.idx = zlib.crc32(task_gen.name.encode())
    return task_gen


def archive(bld, name, sources, flags, compiler=None):
    """A static library, or nothing when there are no sources yet."""
    if not sources:
        return None
    named(bld.stlib(source=sources, target=name, name=name,
                    cflags=WARNINGS, env=variant_env(bld, flags, compiler)))
    return name


def archives(bld, suffix, flags, compiler=None):
    """Our code as static libraries, users before what they use.

    csvd's is for the unit tests of its parts. The generated codec is compiled
    apart, without our warnings."""
    made = []
    layers = [('csv', 'lib/volume/*.c lib/wire/*.c lib/quorum/*.c '
               'lib/opens/*.c lib/node/*.c lib/ltdb/*.c lib/site/*.c')]
    if suffix:
        layers.insert(0, ('csvd', 'csvd/*.c witness/plan.c'))
    for name, patterns in layers:
        sources = bld.path.ant_glob(patterns.split())
        made.append(archive(bld, name + suffix, sources, flags, compiler))
    if bld.path.find_node('lib/wire/csv.idl'):
        name = 'ndr_csv' + suffix
        header = os.path.join(bld.env.SAMBA_SRC,
                              'source3/include/includes.h')
        named(bld.stlib(source='gen_ndr/ndr_csv.c', target=name, name=name,
                        cflags=['-w', '-include', header],
                        env=variant_env(bld, flags, compiler)))
        made.append(name)
    return [name for name in made if name]


def program(bld, target, sources, use, flags, libs=(), compiler=None):
    if not sources:
        return
    named(bld.program(source=sources, target=target, name=target, use=use,
                      cflags=WARNINGS, env=variant_env(bld, flags, compiler),
                      ldflags=bld.env.PROGRAM_LIBS + list(libs),
                      install_path=None))


def programs(bld, folder, use, flags, libs=(), compiler=None):
    """One program per file with a main(), with what it uses of the others."""
    sources = bld.path.ant_glob(folder + '/*.c')
    mains = [node for node in sources if has_main(node)]
    shared = archive(bld, folder.replace('/', '_'),
                     [node for node in sources if node not in mains],
                     flags, compiler)
    if shared:
        use = [shared] + use
    for node in mains:
        target = '%s/%s' % (folder if folder != 'test/bench' else 'test',
                            node.name[:-2])
        program(bld, target, [node], use, flags, libs, compiler)


def modules(bld, use):
    """modules/vfs_NAME.c and modules/NAME/*.c make modules/NAME.so.

    No Samba library is linked: smbd has them; --exclude-libs keeps our own
    library's names out of smbd's way."""
    for main in bld.path.ant_glob('modules/vfs_*.c'):
        name = re.match(r'vfs_([a-z0-9]+)', main.name).group(1)
        if main.name != 'vfs_%s.c' % name:
            continue
        sources = bld.path.ant_glob(['modules/vfs_%s.c' % name,
                                     'modules/vfs_%s_*.c' % name,
                                     'modules/%s/*.c' % name])
        env = variant_env(bld, OPTIMISE)
        env.cshlib_PATTERN = '%s.so'
        named(bld.shlib(source=sources, target='modules/' + name,
                        name='module_' + name, use=use, cflags=WARNINGS,
                        env=env, install_path=None,
                        ldflags=['-Wl,-z,lazy', '-Wl,--exclude-libs,ALL',
                                 '-Wl,--as-needed', '-lgnutls', '-luring',
                                 '-lpthread']))


def man_pages(bld):
    style = ('http://docbook.sourceforge.net/release/xsl/current/manpages/'
             'docbook.xsl')
    for page in bld.path.ant_glob('doc/man/*.xml'):
        bld(rule='${XSLTPROC} --nonet --xinclude --stringparam '
                 'man.output.quietly 1 --stringparam refentry.meta.get.quietly 1 '
                 '-o ${TGT} %s ${SRC}' % style,
            source=page, target='man/' + page.name[:-len('.xml')])


def install(bld):
    """Our files into Samba's prefix (waf puts them below --destdir)."""
    prefix = bld.env.SAMBA_PREFIX
    build_dir = bld.bldnode

    def put(folder, pattern, mode, node=build_dir):
        for file in node.ant_glob(pattern, quiet=True):
            bld.install_as('%s/%s/%s' % (prefix, folder, file.name), file,
                           chmod=mode)

    put('lib/vfs', 'modules/*.so', 0o755)
    put('sbin', ['bin/csvd*', 'bin/sofs_witness'], 0o755)
    put('bin', 'bin/sofs', 0o755)
    put('libexec/ctdb', 'bin/csv_quorum_*', 0o755)
    put('share/man/man8', 'man/*.8', 0o644)
    put('share/ctdb/events/legacy', 'ctdb-events/*.script', 0o755, bld.path)
    put('share/sofs/ocf', 'csvd/ocf/*', 0o644, bld.path)
    put('share/doc/sofs/examples', ['examples/*', 'ctdb-events/*.options'],
        0o644, bld.path)


def build(bld):
    # ccache makes dependencies relative: waf must know what is in build/
    bld.bldnode.find_node('include/csv_build.h')
    idl(bld)
    bld.add_group()
    if bld.options.sanitized:
        use = archives(bld, '_san', SANITIZE)
        programs(bld, 'test/unit', use, SANITIZE, ['-lcmocka'])
    elif bld.options.fuzz:
        clang = bld.env.CLANG
        if not clang:
            bld.fatal('clang is missing (make deps installs it)')
        use = archives(bld, '_fuzz', FUZZ +
                       ['-fsanitize=fuzzer-no-link,address'], clang)
        programs(bld, 'test/fuzz', use,
                 FUZZ + ['-fsanitize=fuzzer,address'], (), clang)
    elif bld.cmd == 'install':
        install(bld)
    else:
        lib = archives(bld, '', OPTIMISE)
        node = bld.path
        modules(bld, lib)
        csvd = archive(bld, 'csvd_parts', node.ant_glob(
            'csvd/*.c', excl='csvd/daemon.c'), OPTIMISE)
        program(bld, 'bin/csvd', node.ant_glob('csvd/daemon.c'), [csvd] + lib,
                OPTIMISE)
        programs(bld, 'test/vm/node', [csvd] + lib, OPTIMISE)
        program(bld, 'bin/sofs', node.ant_glob('tools/*.c'), lib, OPTIMISE)
        program(bld, 'bin/sofs_witness', node.ant_glob('witness/*.c'), lib,
                OPTIMISE)
        program(bld, 'bin/csv_quorum_helper', node.ant_glob('quorum/*.c'),
                lib, OPTIMISE)
        program(bld, 'bin/csv_quorum_third',
                node.ant_glob('quorum/third/*.c'), lib, OPTIMISE,
                ['-lcurl'])
        program(bld, 'test/smb3client', node.ant_glob('test/client/*.c'), lib,
                OPTIMISE)
        programs(bld, 'test/bench', [csvd] + lib, OPTIMISE)
        man_pages(bld)
