# fish completion for focus
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by completion/generate.py from the table of commands.

function __focus_at --description 'whether that many arguments stand behind the command, if one is given'
    set -l words (string match --invert -- '--*' (commandline -opc))
    test (count $words) -eq (math $argv[1] + 1); and begin
        test (count $argv) -eq 1; or test "$words[2]" = $argv[2]
    end
end

function __focus_in --description 'whether an option of one of these commands is being typed'
    set -l words (commandline -opc)
    string match --quiet -- '--*' (commandline -ct); and test (count $words) -gt 1; and contains -- $words[2] $argv
end

complete -c focus -f
complete -c focus -n '__focus_at 0' -a set -d 'move to a position, and wait until it is reached'
complete -c focus -n '__focus_at 0' -a offset -d 'move by so many steps, up or down, and wait'
complete -c focus -n '__focus_at 0' -a stop -d 'stop moving'
complete -c focus -n '__focus_at 0' -a status -d 'show the state of both channels'
complete -c focus -n '__focus_at 0' -a json -d 'print the same as one line of JSON'
complete -c focus -n '__focus_at 0' -a watch -d 'show both channels live, until Ctrl-C'
complete -c focus -n '__focus_at 0' -a zero -d 'make the present position step 0'
complete -c focus -n '__focus_at 0' -a init -d 'connect the daemon to the hub'
complete -c focus -n '__focus_at 0' -a kill -d 'disconnect the daemon from the hub'
complete -c focus -n '__focus_at 0' -a help -d 'explain a command'
complete -c focus -k -n '__focus_at 1 set' -a '1 2'
complete -c focus -k -n '__focus_at 1 offset' -a '1 2'
complete -c focus -k -n '__focus_at 1 stop' -a '1 2'
complete -c focus -k -n '__focus_at 1 zero' -a '1 2'
complete -c focus -k -n '__focus_at 1 help' -a 'set offset stop status json watch zero init kill'
complete -c focus -n '__focus_in set offset stop status json watch zero init kill' -l help
