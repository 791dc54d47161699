# Completion of holdfast for bash, with or without bash-completion:
#	source <(holdfast completion bash)

_holdfast() {
	local program=${COMP_WORDS[0]/#\~/$HOME} current=${COMP_WORDS[COMP_CWORD]} line
	local -a lines
	mapfile -t lines < <("$program" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	COMPREPLY=()
	if [[ ${lines[0]-} == :files ]]; then
		compopt -o default
		return
	fi
	# After --flag= the line is cut at the sign: what follows it is completed.
	[[ $current == = ]] && current=
	for line in "${lines[@]}"; do
		line=${line%%$'\t'*}
		[[ $line == "$current"* ]] && COMPREPLY+=("$line")
	done
}

complete -F _holdfast holdfast
