# fish completion for commy(1). Silent about everything that goes wrong: no mesh, no permission, no commy.

set -l commands create rm meshes ls get select breaker stat nodes register unregister heartbeat set drain run wait watch timeline top \
    dump reap check check-health monitor doctor bench help

# The --mesh and --dir of the command line so far.
function __commy_where
    set -l words (commandline -opc)
    set -l previous ''
    for word in $words
        switch $previous
            case --mesh --dir
                printf '%s\n' $previous $word
        end
        if string match -qr '^--(mesh|dir)=' -- $word
            printf '%s\n' $word
        end
        set previous $word
    end
end

# Each service is an object on a line of its own that starts with these keys.
function __commy_names
    commy (__commy_where) ls --json 2>/dev/null | string replace -rf '^\{"name":"([^"\\\\]*)".*' '$1' | sort -u
end

function __commy_ids
    commy (__commy_where) ls --json 2>/dev/null |
        string replace -rf '^\{"name":"([^"\\\\]*)","id":"([^"\\\\]*)".*' '$2\t$1'
end

function __commy_nodes
    commy (__commy_where) nodes --json 2>/dev/null | string replace -rf '^\{"node":"([^"\\\\]*)".*' '$1'
end

function __commy_meshes
    commy (__commy_where) meshes --json 2>/dev/null | string replace -rf '^\{"mesh":"([^"\\\\]*)".*' '$1'
end

# Behind -- stands somebody else's command line.
function __commy_behind_dashes
    contains -- -- (commandline -opc)
end

function __commy_command
    set -l words (commandline -opc) (commandline -ct)
    set -l dashes (contains -i -- -- $words)
    complete -C (string join ' ' -- (string escape -- $words[(math $dashes + 1)..-2]) $words[-1])
end

complete -c commy -f

complete -c commy -n "not __fish_seen_subcommand_from $commands" -a create -d 'Make a mesh'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a rm -d 'Remove a mesh'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a meshes -d 'List the meshes of a directory'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a ls -d 'List services'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a get -d 'Show all about one service'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a stat -d 'Show counters'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a select -d 'Select an instance'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a breaker -d 'Show or close circuit breakers'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a nodes -d 'List the participants'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a register -d 'Register a service and hold it'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a unregister -d 'Unregister a service'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a heartbeat -d 'Renew a service\'s lease'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a set -d 'Change a service'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a drain -d 'Take a service out of selection'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a run -d 'Run a program and register it'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a wait -d 'Wait until instances are up'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a watch -d 'Print changes as they happen, or run a command'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a timeline -d 'Print what happened last'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a top -d 'Show load as it changes'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a dump -d 'Show the inside of a region'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a reap -d 'Give back what the dead left'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a check -d 'Audit a region'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a check-health -d 'Check a service once'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a monitor -d 'Check the health of services'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a doctor -d 'Tell what would hurt commy'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a bench -d 'Measure what commy costs'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -a help -d 'Tell more about a command'
complete -c commy -n "not __fish_seen_subcommand_from $commands" -l version -d 'Print the version'

complete -c commy -l mesh -x -a '(__commy_meshes)' -d 'Which mesh'
complete -c commy -l dir -x -a '(__fish_complete_directories)' -d 'Directory of the region'
complete -c commy -l json -d 'Print JSON'
complete -c commy -l help -d 'Tell more'

complete -c commy -n '__fish_seen_subcommand_from help' -a "$commands"
complete -c commy -n '__fish_seen_subcommand_from rm' -a '(__commy_meshes)'
complete -c commy -n '__fish_seen_subcommand_from rm' -l force -d 'Even while participants live'
complete -c commy -n '__fish_seen_subcommand_from create' -l capacity -x -d 'Room for so many services'
complete -c commy -n '__fish_seen_subcommand_from create' -l group -x -a '(__fish_complete_groups)' -d 'Share it'
complete -c commy -n '__fish_seen_subcommand_from create' -l mode -x -a '0600 0640 0660' -d 'Mode of the file'

complete -c commy -n '__fish_seen_subcommand_from bench' -l services -x -d 'Among so many services'
complete -c commy -n '__fish_seen_subcommand_from bench' -l seconds -x -d 'For so many seconds'
complete -c commy -n '__fish_seen_subcommand_from ls select stat wait watch top monitor' -a '(__commy_names)'
complete -c commy -n '__fish_seen_subcommand_from timeline' -s f -l follow -d 'Go on with what happens'
complete -c commy -n '__fish_seen_subcommand_from timeline' -l since -x -a '1m 5m 1h 1d' -d 'Only the last'
complete -c commy -n '__fish_seen_subcommand_from timeline' -l id -x -a '(__commy_ids)' -d 'Only of this service'
complete -c commy -n '__fish_seen_subcommand_from timeline' -l name -x -a '(__commy_names)' -d 'Only of this name'
complete -c commy -n '__fish_seen_subcommand_from top' -l interval -x -d 'Milliseconds between two looks'
complete -c commy -n '__fish_seen_subcommand_from top' -l once -d 'Print once'
complete -c commy -n '__fish_seen_subcommand_from select' -l policy -x -a 'round-robin least-connections weighted performance random hash' -d 'How'
complete -c commy -n '__fish_seen_subcommand_from select' -l client -x -d 'Whom it is for'
complete -c commy -n '__fish_seen_subcommand_from select' -s n -l count -x -d 'Select so often'
complete -c commy -n '__fish_seen_subcommand_from get unregister heartbeat set drain breaker check-health' -a '(__commy_ids)'
complete -c commy -n '__fish_seen_subcommand_from breaker' -l reset -d 'Close it'
complete -c commy -n '__fish_seen_subcommand_from breaker' -l on -d 'Have breakers in the mesh'
complete -c commy -n '__fish_seen_subcommand_from breaker' -l off -d 'Have none'
complete -c commy -n '__fish_seen_subcommand_from breaker' -l failures -x -d 'Failures in a row'
complete -c commy -n '__fish_seen_subcommand_from breaker' -l percent -x -d 'Share of a window'
complete -c commy -n '__fish_seen_subcommand_from breaker' -l minimum -x -d 'Requests of a window'
complete -c commy -n '__fish_seen_subcommand_from breaker' -l window -x -d 'Its length in ms'
complete -c commy -n '__fish_seen_subcommand_from breaker' -l most -x -d 'Share of instances'
complete -c commy -n '__fish_seen_subcommand_from breaker' -l open -x -d 'Time in ms'
complete -c commy -n '__fish_seen_subcommand_from breaker' -l longest -x -d 'And at most'
complete -c commy -n '__fish_seen_subcommand_from dump' -F
complete -c commy -n '__fish_seen_subcommand_from dump' -s r -l records -d 'Also every record in use'
complete -c commy -n '__fish_seen_subcommand_from dump' -l check -d 'Also audit'

complete -c commy -n '__fish_seen_subcommand_from ls select' -l tag -x -d 'Only with this tag'
complete -c commy -n '__fish_seen_subcommand_from ls select' -l zone -x -d 'Only of this zone'
complete -c commy -n '__fish_seen_subcommand_from ls select' -l version -x -d 'Only of this version'
complete -c commy -n '__fish_seen_subcommand_from ls' -l node -x -a '(__commy_nodes)' -d 'Only of this participant'
complete -c commy -n '__fish_seen_subcommand_from ls wait' -l healthy -d 'Only healthy and degraded ones'
complete -c commy -n '__fish_seen_subcommand_from stat' -l id -x -a '(__commy_ids)' -d 'Only this service'
complete -c commy -n '__fish_seen_subcommand_from wait' -s n -l count -x -d 'So many instances'
complete -c commy -n '__fish_seen_subcommand_from select' -l prefer-zone -x -d 'Preferably of this zone'
complete -c commy -n '__fish_seen_subcommand_from drain' -l wait -d 'Until its requests are done'
complete -c commy -n '__fish_seen_subcommand_from set' -l enabled -d 'May be selected'
complete -c commy -n '__fish_seen_subcommand_from set' -l draining -d 'Gets no new requests'
complete -c commy -n '__fish_seen_subcommand_from set' -l maintenance -d 'Out of service'
complete -c commy -n '__fish_seen_subcommand_from drain wait' -l timeout -x -d 'Give up after milliseconds'

complete -c commy -n '__fish_seen_subcommand_from set register run' -l weight -x -d 'Share of the load'
complete -c commy -n '__fish_seen_subcommand_from set register run' -l meta -x -d 'Metadata (JSON)'
complete -c commy -n '__fish_seen_subcommand_from set' -l health -x -a 'unknown healthy unhealthy degraded' -d Health
complete -c commy -n '__fish_seen_subcommand_from set' -l admin -x -a 'enabled draining maintenance' -d 'Admin state'

complete -c commy -n '__fish_seen_subcommand_from register run' -l name -x -a '(__commy_names)' -d 'Name of the service'
complete -c commy -n '__fish_seen_subcommand_from register run' -l id -x -d 'Id of this instance'
complete -c commy -n '__fish_seen_subcommand_from register run' -l endpoint -x -d 'Host, address, or unix:/path'
complete -c commy -n '__fish_seen_subcommand_from register run' -l port -x -d Port
complete -c commy -n '__fish_seen_subcommand_from register run' -l version -x -d 'Version of the program'
complete -c commy -n '__fish_seen_subcommand_from register run' -l zone -x -d 'Zone it runs in'
complete -c commy -n '__fish_seen_subcommand_from register run' -l tag -x -d 'A tag'
complete -c commy -n '__fish_seen_subcommand_from register run' -l check -x -a 'tcp http http:/ none' -d 'How monitors check it'
complete -c commy -n '__fish_seen_subcommand_from register run' -l ttl -x -d 'Lease in milliseconds'
complete -c commy -n '__fish_seen_subcommand_from register run' -l node -x -d 'Name of this participant'
complete -c commy -n '__fish_seen_subcommand_from run' -l check-cmd -x -d 'Tells with its exit code how it is'
complete -c commy -n '__fish_seen_subcommand_from run' -l check-interval -x -d 'Milliseconds between two of them'
complete -c commy -n '__fish_seen_subcommand_from run' -l check-timeout -x -d 'Kill it after milliseconds'
complete -c commy -n '__fish_seen_subcommand_from check-health monitor' -l timeout -x -d 'Milliseconds for an answer'
complete -c commy -n '__fish_seen_subcommand_from monitor' -l interval -x -d 'Milliseconds between two checks'
complete -c commy -n '__fish_seen_subcommand_from monitor' -l failures -x -d 'So many make it unhealthy'
complete -c commy -n '__fish_seen_subcommand_from monitor' -l recoveries -x -d 'So many make it healthy'
complete -c commy -n '__fish_seen_subcommand_from register' -l detached -d 'Return at once'
complete -c commy -n '__fish_seen_subcommand_from run wait watch; and __commy_behind_dashes' -a '(__commy_command)'
