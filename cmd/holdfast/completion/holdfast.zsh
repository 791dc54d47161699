#compdef holdfast
# Completion of holdfast for zsh:
#	source <(holdfast completion zsh)

_holdfast() {
	local line
	local -a lines described
	lines=("${(@f)$("${(Q)words[1]/#\~/$HOME}" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
	[[ $PREFIX == --*=* ]] && compset -P '*='
	if [[ $lines[1] == :files ]]; then
		_files
		return
	fi
	for line in $lines; do
		described+=("${line%%$'\t'*}:${line#*$'\t'}")
	done
	_describe -t holdfast holdfast described
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
	_holdfast "$@"
else
	compdef _holdfast holdfast
fi
