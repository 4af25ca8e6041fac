# SPDX-License-Identifier: GPL-3.0-or-later
# bash completion for sofs(8)

_sofs_volumes()
{
	sofs volume list 2>/dev/null | sed -e 1d -e 's/ .*//'
}

_sofs_nodes()
{
	sofs node state 2>/dev/null | sed -e 1,2d -e 's/ .*//'
}

_sofs()
{
	local cur=${COMP_WORDS[COMP_CWORD]}
	local words=""

	case "$COMP_CWORD" in
	1) words="volume node open secret" ;;
	2)
		case "${COMP_WORDS[1]}" in
		volume) words="state list add remove move confirm-fenced
				test-fence" ;;
		node) words="state drain resume" ;;
		open) words="list" ;;
		secret) words="rotate" ;;
		esac
		;;
	*)
		case "${COMP_WORDS[1]} ${COMP_WORDS[2]}" in
		"volume add")
			words="--device --fstype --mount-point --options
				--agent --access --preferred --fence
				--fence-param --wait-limit"
			;;
		"volume move") words="$(_sofs_volumes) --to --wait --timeout" ;;
		"volume test-fence") words="$(_sofs_volumes) --node --really" ;;
		"volume state") words="$(_sofs_volumes) --json" ;;
		"volume remove" | "volume confirm-fenced")
			words=$(_sofs_volumes)
			;;
		"volume list" | "node state" | "open list") words="--json" ;;
		"node drain")
			words="$(_sofs_nodes) --to --grace --wait --timeout
				--dry-run --exit"
			;;
		"node resume") words=$(_sofs_nodes) ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _sofs sofs
