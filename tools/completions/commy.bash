# bash completion for commy(1). Silent about everything that goes wrong: no mesh, no permission, no commy.

# Prints a field of each service or participant. Each is an object on a line of its own that starts with these keys.
_commy_names() {
    commy "${_commy_where[@]}" ls --json 2>/dev/null | sed -n 's/^{"name":"\([^"\\]*\)".*/\1/p' | sort -u
}

_commy_ids() {
    commy "${_commy_where[@]}" ls --json 2>/dev/null | sed -n 's/^{"name":"[^"\\]*","id":"\([^"\\]*\)".*/\1/p'
}

_commy_nodes() {
    commy "${_commy_where[@]}" nodes --json 2>/dev/null | sed -n 's/^{"node":"\([^"\\]*\)".*/\1/p'
}

_commy_meshes() {
    commy "${_commy_where[@]}" meshes --json 2>/dev/null | sed -n 's/^{"mesh":"\([^"\\]*\)".*/\1/p'
}

# Offers the lines of its input that begin like the current word.
_commy_offer() {
    local line
    while IFS= read -r line; do
        [[ $line == "$cur"* ]] && COMPREPLY+=("$(printf '%q' "$line")")
    done
}

# The options of a command.
_commy_options() {
    local service='--name --id --endpoint --port --weight --version --zone --tag --check --meta --ttl --node'
    case $1 in
    '') echo '--version' ;;
    create) echo '--capacity --group --mode' ;;
    rm) echo '--force' ;;
    ls) echo '--tag --zone --version --healthy --node' ;;
    select) echo '--policy --client --tag --version --zone --prefer-zone -n --count' ;;
    breaker) echo '--reset --on --off --failures --percent --minimum --window --most --open --longest' ;;
    check-health) echo '--timeout' ;;
    monitor) echo '--interval --timeout --failures --recoveries' ;;
    stat) echo '--id' ;;
    timeline) echo '-f --follow --since --id --name' ;;
    top) echo '--interval --once' ;;
    register) echo "$service --detached" ;;
    run) echo "$service --check-cmd --check-interval --check-timeout" ;;
    set) echo '--weight --meta --health --admin --enabled --draining --maintenance' ;;
    drain) echo '--wait --timeout' ;;
    wait) echo '-n --count --healthy --timeout' ;;
    dump) echo '-r --records --check' ;;
    bench) echo '--services --seconds' ;;
    esac
    echo '--mesh --dir --json --help'
}

# The value of an option; false where the option has none.
_commy_value() {
    case $1 in
    --mesh) _commy_offer < <(_commy_meshes) ;;
    --dir) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    --name) _commy_offer < <(_commy_names) ;;
    --node) [[ $command == ls ]] && _commy_offer < <(_commy_nodes) ;;
    --id) [[ $command == stat || $command == timeline ]] && _commy_offer < <(_commy_ids) ;;
    --group) mapfile -t COMPREPLY < <(compgen -g -- "$cur") ;;
    --mode) mapfile -t COMPREPLY < <(compgen -W '0600 0640 0660' -- "$cur") ;;
    --health) mapfile -t COMPREPLY < <(compgen -W 'unknown healthy unhealthy degraded' -- "$cur") ;;
    --policy) mapfile -t COMPREPLY < <(compgen -W 'round-robin least-connections weighted performance random hash' -- "$cur") ;;
    --check) [[ $command == dump ]] && return 1; mapfile -t COMPREPLY < <(compgen -W 'tcp http http:/ none' -- "$cur") ;;
    --admin) mapfile -t COMPREPLY < <(compgen -W 'enabled draining maintenance' -- "$cur") ;;
    --capacity | --endpoint | --port | --weight | --zone | --prefer-zone | --tag | --meta | --ttl | --timeout | --count | -n | --client | --services | --seconds | --since | --interval) ;;
    --failures | --percent | --minimum | --window | --most | --open | --longest | --recoveries | --check-cmd | --check-interval | --check-timeout) ;;
    --version) [[ -n $command ]] ;;
    *) return 1 ;;
    esac
    return 0
}

_commy() {
    local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' word
    local -a _commy_where=()
    local commands='create rm meshes ls get select breaker stat nodes register unregister heartbeat set drain run wait watch dump'
    commands+=' timeline top reap check check-health monitor doctor bench help'
    local i
    COMPREPLY=()

    # What stands before the cursor: the command, and which mesh it is about.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --)
            # Behind it stands somebody else's command line.
            if [[ $command == run || $command == wait || $command == watch ]]; then
                if declare -F _command_offset >/dev/null; then
                    _command_offset $((i + 1))
                else
                    mapfile -t COMPREPLY < <(compgen -c -- "$cur")
                fi
            fi
            return
            ;;
        --mesh | --dir)
            [[ ${COMP_WORDS[i + 1]-} == '=' ]] && ((i++))
            if ((i + 1 < COMP_CWORD)); then
                _commy_where+=("$word" "${COMP_WORDS[i + 1]}")
                ((i++))
            fi
            ;;
        -*) ;;
        *) [[ -z $command && " $commands " == *" $word "* ]] && command=$word ;;
        esac
    done

    # --option=value comes as three words.
    if [[ $cur == '=' ]]; then
        cur=''
    elif [[ $previous == '=' ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    _commy_value "$previous" && return

    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_commy_options "$command")" -- "$cur")
        return
    fi
    case $command in
    '' | help) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur") ;;
    rm | create) _commy_offer < <(_commy_meshes) ;;
    get | unregister | heartbeat | set | drain | breaker | check-health) _commy_offer < <(_commy_ids) ;;
    ls | select | stat | wait | watch | top | monitor) _commy_offer < <(_commy_names) ;;
    dump) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    esac
}

complete -F _commy commy
