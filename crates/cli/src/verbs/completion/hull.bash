# Completion of hull's words for bash; made by `hull completion bash`. hull is asked at each key, so this never grows old.

_hull() {
    local line=${COMP_LINE:0:COMP_POINT} word found
    local -a words
    # bash has split the words at colons and equal signs as well: an image's tag would be a word of its own.
    read -ra words <<<"$line"
    if [[ $line == *[[:space:]] ]]; then
        words+=("")
    fi
    word=${words[${#words[@]} - 1]}
    COMPREPLY=()
    while IFS= read -r found; do
        if [[ $found == / ]]; then
            compopt -o default 2>/dev/null
        else
            COMPREPLY+=("${found%%$'\t'*}")
        fi
    done < <("${words[0]/#\~/$HOME}" __complete "${words[@]:1}" 2>/dev/null)
    # A single = or : at the end goes on without a blank.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
    # What stands before the last of them is not bash's to replace.
    local before=${word%"${word##*[=:]}"}
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
}

complete -F _hull hull
