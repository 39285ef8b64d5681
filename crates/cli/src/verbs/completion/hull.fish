# Completion of hull's words for fish; made by `hull completion fish`. hull is asked at each key, so this never grows old.

function __hull_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in (command hull __complete $words[2..] 2>/dev/null)
        if test "$line" = /
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end

complete -c hull -f -a '(__hull_complete)'
