#compdef signpost
# zsh completion for signpost. Put it into a folder of $fpath as _signpost, or:
# source <(signpost completion zsh)

_signpost() {
	local line
	local -a described
	for line in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
		case $line in
		'') ;;
		:files) _files ;;
		:folders) _files -/ ;;
		*$'\t'*) described+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
		*) described+=("${line//:/\\:}") ;;
		esac
	done
	(( $#described )) && _describe -t signpost signpost described
}

if [[ ${funcstack[1]} == _signpost ]]; then
	_signpost "$@"
else
	compdef _signpost signpost
fi
