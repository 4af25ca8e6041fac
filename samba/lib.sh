# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# What samba/deps, samba/fetch and samba/build share: the pin, the place in the
# cache, and the way an error is said.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=samba/version
. "$here/version"

# Counts changes of the build recipe itself; part of the key.
RECIPE=1

# Samba's default is not to optimise at all, which no distribution ships.
SAMBA_CFLAGS=-O2

CACHE=${SOFS_CACHE:-/var/cache/sofs}

say() {
	echo "samba: $*" >&2
}

die() {
	say "error: $*"
	exit 1
}

# The lines of a list file, without comments and empty ones.
list_lines() {
	sed -e 's/[[:space:]]*#.*//' -e '/^[[:space:]]*$/d' "$@"
}

# Of the packages named in the given files, those that are not installed.
missing_packages() {
	local names installed

	names=$(list_lines "$@")
	# shellcheck disable=SC2086 # a list of words
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' \
		$names 2>/dev/null | sed -n 's/^installed //p')
	comm -23 <(sort -u <<<"$names") <(sort -u <<<"$installed")
}

patch_files() {
	find "$here/patches" -maxdepth 1 -name '*.patch' | LC_ALL=C sort
}

# Everything that decides what is built.  The pinned checksum stands for the
# release, whichever of its files was fetched.
build_key() {
	{
		echo "$RECIPE $SAMBA_VERSION $SAMBA_SHA256 $SAMBA_CFLAGS"
		list_lines "$here/configure-options"
		patch_files | xargs -r cat
	} | sha256sum | cut -c1-16
}

build_dir() {
	echo "$CACHE/samba-$SAMBA_VERSION-$(build_key)"
}
