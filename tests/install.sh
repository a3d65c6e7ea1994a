# Read in by scripts/test: checks of an installed commy. $prefix is where it lies, $work where to work. They look at it as its
# users do: from another directory, through pkg-config and CMake.
# shellcheck shell=bash

exports_match() {
    grep --only-matching '^ *commy_[a-z_]*' src/libcommy.map | tr -d ' ' | sort >"$work/map"
    nm --dynamic --defined-only "$prefix/lib/libcommy.so.1" | sed -n 's/.* T \(.*\)@@COMMY_1\.0$/\1/p' | sort >"$work/exports"
    diff "$work/map" "$work/exports"
    nm --dynamic --defined-only "$prefix/lib/libcommy.so.1" | sed 's/.* //' | grep --invert-match '@@COMMY_1\.0$' |
        diff - <(echo COMMY_1.0)
}

declarations_match() {
    sed '/^ *\*/d; /^#/d' "$prefix"/include/commy/*.h | tr '\n' ' ' |
        grep --only-matching 'COMMY_API [^(;]*(' | grep --only-matching 'commy_[a-z_]*(' | tr -d '(' | sort >"$work/declared"
    diff "$work/map" "$work/declared"
}

# dynamic_entries PATTERN...: each must be there.
dynamic_entries() {
    readelf --dynamic --wide "$prefix/lib/libcommy.so.1" | tee "$work/dynamic"
    local pattern
    for pattern in "$@"; do
        grep --quiet "$pattern" "$work/dynamic"
    done
    [ "$(grep --count TEXTREL "$work/dynamic")" -eq 0 ]
}

headers_stand_alone() {
    local header
    for header in commy ffi types; do
        gcc -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only -x c -I"$prefix/include" \
            -include "commy/$header.h" /dev/null
        g++ -std=c++11 -pedantic -Wall -Wextra -Werror -fsyntax-only -x c++ -I"$prefix/include" \
            -include "commy/$header.h" /dev/null
    done
}

versions_agree() {
    local version
    version=$(pkg-config --modversion commy)
    "$prefix/bin/commy" --version | grep --word-regexp --fixed-strings "$version"
    python3 - "$prefix/lib/libcommy.so.1" "$version" <<'END'
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.commy_ffi_version.restype = ctypes.c_char_p
sys.exit(library.commy_ffi_version().decode() != sys.argv[2])
END
}

manual_renders() {
    local page
    for page in man1/commy.1 man3/libcommy.3 man5/commy-region.5; do
        [ -z "$(groff -man -t -K utf8 -T utf8 -w w -z "$prefix/share/man/$page" 2>&1)" ]
    done
}

completions_load() {
    bash -n "$prefix/share/bash-completion/completions/commy"
    [ -s "$prefix/share/zsh/site-functions/_commy" ]
    [ -s "$prefix/share/fish/vendor_completions.d/commy.fish" ]
}

# examples_run shared|static DIRECTORY: a service that one program registers is found by another for as long as the first
# one lives.
examples_run() {
    local dir=$2 offering linked
    linked=$(readelf --dynamic "$dir/register" | grep --count 'NEEDED.*libcommy' || true)
    [ "$1 $linked" = 'shared 1' ] || [ "$1 $linked" = 'static 0' ]
    mkdir -m 0700 "$dir/mesh"
    export COMMY_DIR=$dir/mesh LD_LIBRARY_PATH=$prefix/lib
    "$dir/register" web web-1 127.0.0.1 8080 &
    offering=$!
    # shellcheck disable=SC2064 # now, while the variable is there
    trap "kill $offering 2>/dev/null || true" EXIT
    for _ in {1..100}; do
        "$dir/find" id web-1 2>/dev/null && break
        sleep 0.05
    done
    "$dir/find" name web | grep --line-regexp --fixed-strings 'web-1 127.0.0.1:8080'
    "$dir/watch_death" "$offering" web-1
    [ -z "$("$dir/find" id web-1)" ]

    "$dir/server" http http-1 &
    offering=$!
    # shellcheck disable=SC2064
    trap "kill $offering 2>/dev/null || true" EXIT
    "$dir/client" http 20 | grep '20 answered, 0 failed'
}

# with_pkg_config shared|static
with_pkg_config() {
    local dir=$work/pkg-config-$1 example flags
    cp -r examples "$dir"
    cd "$dir"
    case $1 in
        shared) read -ra flags < <(pkg-config --cflags --libs commy) ;;
        static) read -ra flags < <(pkg-config --static --cflags --libs commy | sed 's/-lcommy\>/-l:libcommy.a/') ;;
    esac
    for example in *.c; do
        gcc -Wall -Wextra -Werror -O2 "$example" -o "${example%.c}" "${flags[@]}"
    done
    examples_run "$1" "$dir"
}

# with_cmake shared|static
with_cmake() {
    local dir=$work/cmake-$1 static=OFF
    [ "$1" = shared ] || static=ON
    cp -r examples "$dir"
    cmake -S "$dir" -B "$dir" -DCMAKE_PREFIX_PATH="$prefix" -DCOMMY_STATIC=$static
    cmake --build "$dir"
    examples_run "$1" "$dir"
}
