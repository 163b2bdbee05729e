# fish completion for focus
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by completion/generate.py from the table of commands.

function __focus_at --description 'whether a command has so many words, and the last of them is in a list'
    set -l words (string match --invert -- '--*' (commandline -opc))
    test (count $words) -eq (math $argv[1] + 1); and begin
        test (count $argv) -eq 1; or test "$words[2]" = $argv[2]
    end; and begin
        test (count $argv) -le 2; or contains -- $words[-1] $argv[3..]
    end
end

function __focus_in --description 'whether the present word is an option of one of these commands'
    set -l words (commandline -opc)
    string match --quiet -- '--*' (commandline -ct); and test (count $words) -gt 1; and contains -- $words[2] $argv
end

complete -c focus -f
complete -c focus -n '__focus_at 0' -a set -d 'move to a position and wait until it is reached'
complete -c focus -n '__focus_at 0' -a offset -d 'move by a number of steps, up or down, and wait'
complete -c focus -n '__focus_at 0' -a center -d 'move to step 0 and wait'
complete -c focus -n '__focus_at 0' -a stop -d 'stop the motor'
complete -c focus -n '__focus_at 0' -a status -d 'show the state of both channels'
complete -c focus -n '__focus_at 0' -a json -d 'print the state as one line of JSON'
complete -c focus -n '__focus_at 0' -a info -d 'show the hub, both channels and their settings'
complete -c focus -n '__focus_at 0' -a watch -d 'show both channels live until Ctrl-C'
complete -c focus -n '__focus_at 0' -a zero -d 'make the present position step 0'
complete -c focus -n '__focus_at 0' -a home -d 'move to the home switch and back'
complete -c focus -n '__focus_at 0' -a configure -d 'list or change settings of the hub'
complete -c focus -n '__focus_at 0' -a init -d 'connect the daemon to the hub'
complete -c focus -n '__focus_at 0' -a kill -d 'disconnect the daemon from the hub'
complete -c focus -n '__focus_at 0' -a help -d 'explain a command'
complete -c focus -k -n '__focus_at 1 set' -a '1 2'
complete -c focus -k -n '__focus_at 1 offset' -a '1 2'
complete -c focus -k -n '__focus_at 1 center' -a '1 2'
complete -c focus -k -n '__focus_at 1 stop' -a '1 2'
complete -c focus -k -n '__focus_at 1 zero' -a '1 2'
complete -c focus -k -n '__focus_at 1 home' -a '1 2'
complete -c focus -k -n '__focus_at 1 configure' -a '1 2'
complete -c focus -k -n '__focus_at 2 configure' -a 'nickname backlash backlash_steps temperature_compensation compensation_at_start compensation_mode coefficient_a coefficient_b coefficient_c coefficient_d coefficient_e intercept_a intercept_b intercept_c intercept_d intercept_e led reverse step_size max_position device_type reset'
complete -c focus -k -n '__focus_at 3 configure backlash temperature_compensation compensation_at_start reverse' -a 'on off'
complete -c focus -k -n '__focus_at 3 configure compensation_mode' -a 'A B C D E'
complete -c focus -k -n '__focus_at 3 configure device_type' -a 'OA OB OC OD OE OF OG OI OJ OK OL FA FB FC FD FE FF SA SB SC SD SE SF SG SH SI SJ SK SL SM SN SO SP SQ TA RA ZZ'
complete -c focus -k -n '__focus_at 3 configure reset' -a 'defaults'
complete -c focus -k -n '__focus_at 1 help' -a 'set offset center stop status json info watch zero home configure init kill'
complete -c focus -n '__focus_in set offset center stop status json watch zero home init kill' -l help
complete -c focus -n '__focus_in info' -l json
complete -c focus -n '__focus_in info' -l help
complete -c focus -n '__focus_in configure' -l yes
complete -c focus -n '__focus_in configure' -l help
