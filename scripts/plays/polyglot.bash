# One mesh of all languages: a server in each that is installed, a client in each that selects among all of them, and a death
# after the other. Sourced by scripts/demo. A language whose compiler or interpreter is missing or too old is left out.
# shellcheck shell=bash disable=SC2154,SC2004 # what is not set here is set there, also its kind

export LD_LIBRARY_PATH=$prefix/lib
PATH=$build:$PATH
languages=()
declare -A title=([c]=C [cpp]=C++ [python]=Python [node]=Node.js [go]=Go [rust]=Rust)
declare -A serves=() asks=() # the commands that serve and ask
declare -A ids=()            # of the servers

# lacks TOOL...: whether one of them is missing or too old; then says so.
lacks() {
    local wrong
    if wrong=$(sdk/needs "$language" "$@" 2>&1); then
        return 1
    fi
    echo "  left out: ${title[$language]}: ${wrong%%$'\n'*}"
}

prepare_c() {
    quietly cc -O2 examples/server.c -o "$build/server" "${flags[@]}"
    serves[c]="$build/server web web-c" asks[c]="$build/client web"
}

prepare_cpp() {
    lacks g++ && return
    quietly g++ -std=c++17 -O2 sdk/cpp/examples/server.cpp -o "$build/server-cpp" "${flags[@]}"
    quietly g++ -std=c++17 -O2 sdk/cpp/examples/client.cpp -o "$build/client-cpp" "${flags[@]}"
    serves[cpp]="$build/server-cpp web web-cpp" asks[cpp]="$build/client-cpp web"
}

prepare_python() {
    lacks python3 && return
    local run="env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$PWD/sdk/python/src python3 sdk/python/examples"
    serves[python]="$run/server.py web web-python" asks[python]="$run/client.py web"
}

prepare_node() {
    lacks node npm && return
    rm -rf "$build/node"
    cp -r sdk/node "$build/node"
    quietly npm ci --prefix "$build/node" --no-audit --no-fund
    serves[node]="node $build/node/examples/server.mjs web" asks[node]="node $build/node/examples/client.mjs web"
}

prepare_go() {
    lacks go && return
    quietly env --chdir=sdk/go go build -o "$build/server-go" ./examples/server
    quietly env --chdir=sdk/go go build -o "$build/client-go" ./examples/client
    serves[go]="$build/server-go web web-go" asks[go]="$build/client-go web"
}

prepare_rust() {
    lacks rustc cargo && return
    quietly cargo build --manifest-path sdk/rust/Cargo.toml --locked --target-dir "$build/rust" -p commy --examples
    serves[rust]="$build/rust/debug/examples/http_server web web-rust"
    asks[rust]="$build/rust/debug/examples/http_client web"
}

# id_of PID: what it has registered; fails where that is nothing yet.
id_of() {
    commy ls web --json 2>/dev/null | python3 -c '
import json, sys
owned = [service["id"] for service in json.load(sys.stdin) if service["pid"] == int(sys.argv[1])]
print(*owned)
sys.exit(not owned)' "$1" 2>/dev/null
}

# serve LANGUAGE: starts its server, and waits until it has registered itself.
serve() {
    local language=$1 pid id
    # shellcheck disable=SC2086 # a command and its arguments, none of which holds a space
    ${serves[$language]} >"$stage/$language.log" 2>&1 &
    pid=$!
    wrapper[$language]=$pid
    for _ in {1..200}; do
        if id=$(id_of "$pid"); then
            ids[$language]=$id
            wrapper[$id]=$pid
            unset "wrapper[$language]"
            return 0
        fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    fail "the server in ${title[$language]} does not register"
}

say 'Building a server and a client in each language that is here ...'
for language in c cpp python node go rust; do
    "prepare_$language"
    if [ -n "${serves[$language]:-}" ]; then
        languages+=("$language")
    fi
done

say 'A server in each language registers itself as an instance of "web":'
for language in "${languages[@]}"; do
    serve "$language"
    echo "  ${title[$language]}: ${ids[$language]}, process ${wrapper[${ids[$language]}]}"
done
show commy ls web

requests=$((${#languages[@]} * 5))
say "A client in each language sends $requests requests, to whoever is selected; the last line of what it says:"
for language in "${languages[@]}"; do
    # shellcheck disable=SC2086 # as above
    ${asks[$language]} "$requests" >"$stage/asked.log" 2>&1 || fail "the client in ${title[$language]} failed"
    printf '  %-8s %s\n' "${title[$language]}:" "$(tail -n 1 "$stage/asked.log")"
done
show commy stat web

say 'kill -9 for one after the other; each is gone with the next lookup:'
for language in "${languages[@]}"; do
    id=${ids[$language]}
    kill_and_watch "${wrapper[$id]}" "$id"
    echo "  ${title[$language]} is gone; left: $(commy ls web 2>/dev/null | tail -n +2 | wc -l)"
done
show commy rm demo
