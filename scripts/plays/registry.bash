# Three web servers, a client, two deaths: what scripts/demo shows. Sourced by it.
# shellcheck shell=bash disable=SC2154 # what is not set here is set there

say 'Three web servers that know nothing of commy start under "commy run", as instances of the service "web":'
for id in web-1 web-2 web-3; do
    start "$id"
    echo "  $id: python3 -m http.server ${port[$id]}, process ${server[$id]} under wrapper ${wrapper[$id]}"
done
show commy wait web -n 3 --timeout 10000
show commy ls

say 'A C client (examples/client.c) attaches to the mesh, takes the instances in turn, and reports each outcome:'
PATH=$build:$PATH
show client web 300
show commy stat web

say 'kill -9 for the server of web-1. Its wrapper sees it end and unregisters it. Seen by a process that looks all the time:'
kill_and_watch "${server[web-1]}" web-1

say 'kill -9 for the wrapper of web-2. Nobody is left to unregister it: the kernel marks the death, and readers see the mark.'
kill_and_watch "${wrapper[web-2]}" web-2

say 'Who is left serves on; no request meets one of the dead:'
show commy ls
show client web 100

say 'The end: the last server stops, and the mesh goes.'
kill "${wrapper[web-3]}"
gone web-3
show commy rm demo
