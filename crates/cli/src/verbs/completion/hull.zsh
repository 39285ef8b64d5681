#compdef hull
# Completion of hull's words for zsh; made by `hull completion zsh`. hull is asked at each key, so this never grows old.

_hull() {
    local line files
    local -a found open
    for line in "${(@f)$("${words[1]/#\~/$HOME}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case ${line%%$'\t'*} in
            ('') ;;
            (/) files=1 ;;
            # A word that goes on has no blank behind it.
            (*[=:/]) open+=("${${line//:/\\:}/$'\t'/:}") ;;
            (*) found+=("${${line//:/\\:}/$'\t'/:}") ;;
        esac
    done
    (( $#found )) && _describe hull found
    (( $#open )) && _describe hull open -S ''
    (( files )) && _files
}

if [[ $funcstack[1] == _hull ]]; then
    _hull "$@"
else
    compdef _hull hull
fi
