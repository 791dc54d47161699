# Completion of holdfast for fish:
#	holdfast completion fish | source

function __holdfast_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete $words[2..] "$current" 2>/dev/null)
    test (count $lines) -gt 0
    or return
    # After --flag= it is the value that is completed.
    set -l before (string match -r -- '^--[^=]+=' "$current")
    if test "$lines[1]" = :files
        set lines (__fish_complete_path (string replace -r -- '^--[^=]+=' '' "$current"))
    end
    printf '%s\n' "$before"$lines
end

complete -c holdfast -f -a '(__holdfast_complete)'
