# What processes of one host do together: checks, balancing, breakers, draining. Sourced by scripts/demo.
# shellcheck shell=bash disable=SC2154,SC2034,SC2004 # what is not set here is set there, and what is not used here is used there

serve=(python3 "$PWD/examples/server.py" "$stage")
options=(--check http:/health)
PATH=$build:$PATH

# requests_of ID: how many its server has counted.
requests_of() {
    python3 -c 'import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode().strip())' \
        "http://127.0.0.1:${port[$1]}/count"
}

# begin ID COMMAND...: starts a process that clean_up ends.
begin() {
    local id=$1
    shift
    "$@" >"$stage/$id.log" 2>&1 &
    wrapper[$id]=$!
}

# until_it_says WORD COMMAND...
until_it_says() {
    local word=$1
    shift
    for _ in {1..200}; do
        "$@" | grep --quiet --word-regexp "$word" && return 0
        sleep 0.05
    done
    fail "$* does not say $word"
}

say 'Three web servers, each with a page that tells how it is, and one process that looks there twice a second:'
for id in web-1 web-2 web-3; do
    start "$id"
done
begin monitor commy monitor web --interval 500 --failures 2
show commy wait 'web>=3 healthy' --timeout 10000
show commy check-health web-1

say 'Four client processes send requests, each to the better of two servers by what the whole host has in flight:'
for id in client-1 client-2 client-3 client-4; do
    begin "$id" client web 1000000 1
done
sleep 2
show commy top --once

say 'web-2 begins to fail, though its page says that it is well. Ten failures in a row, whoever has them, open its breaker:'
show commy breaker --on --failures 10 --open 1500
touch "$stage/${port[web-2]}.broken"
until_it_says open commy breaker web-2
show commy breaker
before=$(requests_of web-2)
sleep 1
echo "Requests that four clients sent to web-2 in the second after that: $(($(requests_of web-2) - before))"

say 'It recovers. One client tries it with one request, for all of them:'
rm "$stage/${port[web-2]}.broken"
until_it_says closed commy breaker web-2
show commy timeline --id web-2 --since 1m

say 'The page of web-3 says that it is ill. Whoever selects leaves it alone, until it is well again:'
touch "$stage/${port[web-3]}.ill"
show commy wait 'web<3 healthy' --timeout 10000
show commy ls web
rm "$stage/${port[web-3]}.ill"
show commy wait 'web>=3 healthy' --timeout 10000

say 'web-1 is taken out for a while: no new requests, and the last one is done when the command returns:'
show commy drain web-1 --wait --timeout 10000
show commy stat web --id web-1
show commy set web-1 --enabled

say 'All four clients have requests in flight:'
show commy stat web
say 'kill -9 for them, in the middle of these. Nothing of them is left in the counts:'
for id in client-1 client-2 client-3 client-4; do
    kill -9 "${wrapper[$id]}"
    gone "$id"
done 2>>"$stage/bash.log"
show commy stat web

say 'The end: the servers stop, and the mesh goes. What happened last:'
for id in monitor web-1 web-2 web-3; do
    kill "${wrapper[$id]}"
    gone "$id"
done
show commy timeline --since 5s
show commy rm demo
