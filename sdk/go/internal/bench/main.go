// Command bench tells what a call costs from Go, beside an empty call through cgo in the same run. Each row is the least of
// many short rounds, which is what the call costs when nothing else has the processor.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"time"

	"commy"
	"commy/internal/empty"
)

type row struct {
	What string  `json:"what"`
	Ns   float64 `json:"ns"`
	Most float64 `json:"-"` // how many empty calls with arguments it may cost; 0: any
}

// cost gives nanoseconds of one of the `batch` things that a call does.
func cost(batch int, call func(i int) error) float64 {
	const rounds = 400
	calls := (2000 + batch - 1) / batch
	best := math.Inf(1)
	for round := 0; round < rounds; round++ {
		began := time.Now()
		for i := 0; i < calls; i++ {
			if err := call(i); err != nil {
				panic(err)
			}
		}
		best = math.Min(best, float64(time.Since(began))/float64(calls*batch))
	}
	return best
}

func measure(mesh *commy.Mesh) ([]row, error) {
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprintf("service-%d", i)
		if err := mesh.RegisterService("bench", ids[i], "127.0.0.1", 8080); err != nil {
			return nil, err
		}
	}
	target, err := mesh.Find(ids[0])
	if err != nil {
		return nil, err
	}
	id := []byte(ids[7])
	find := func(id string) error {
		_, err := mesh.Find(id)
		return err
	}
	return []row{
		{"an empty cgo call", cost(1, func(int) error { empty.Call(); return nil }), 0},
		{"an empty cgo call with Find's arguments and result", cost(1, func(int) error {
			empty.Find(1, &id[0], len(id))
			return nil
		}), 0},
		{"Find, the same id", cost(1, func(int) error { return find(ids[7]) }), 2},
		{"Find, 1,000 ids in turn", cost(1, func(i int) error { return find(ids[i%len(ids)]) }), 0},
		{"Find, an id in a batch of 100", cost(100, func(int) error {
			_, err := mesh.FindMany(ids[:100])
			return err
		}), 0},
		{"SelectService, round robin", cost(1, func(int) error {
			_, err := mesh.SelectService("bench", "")
			return err
		}), 0},
		{"Report", cost(1, func(int) error { return mesh.Report(target.Reference, time.Microsecond, true) }), 0},
		{"BeginRequest and EndRequest", cost(1, func(int) error {
			token, err := mesh.BeginRequest(target.Reference)
			if err != nil {
				return err
			}
			return mesh.EndRequest(token, time.Microsecond, true)
		}), 0},
	}, nil
}

func run() error {
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	dir, err := os.MkdirTemp("", "commy-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	mesh, err := commy.NewWithOptions("bench", 8080, commy.Options{Dir: dir})
	if err != nil {
		return err
	}
	if err := mesh.Initialize(); err != nil {
		return err
	}
	defer mesh.Close()
	rows, err := measure(mesh)
	if err != nil {
		return err
	}
	if *asJSON {
		err = json.NewEncoder(os.Stdout).Encode(rows)
	} else {
		show(rows)
	}
	for _, r := range rows {
		if r.missed(rows) {
			err = fmt.Errorf("%s: %.2f empty calls with arguments, and at most %v are allowed", r.What, r.Ns/rows[1].Ns, r.Most)
		}
	}
	return err
}

func (r row) missed(rows []row) bool {
	return r.Most > 0 && r.Ns/rows[1].Ns > r.Most
}

func show(rows []row) {
	fmt.Printf("%s; ns a call, how many empty calls that is, and how many with arguments\n", runtime.Version())
	for _, r := range rows {
		bound := ""
		if r.missed(rows) {
			bound = fmt.Sprintf("   at most %v: MISSED", r.Most)
		} else if r.Most > 0 {
			bound = fmt.Sprintf("   at most %v: met", r.Most)
		}
		fmt.Printf("%-52s%9.1f%8.2f%8.2f%s\n", r.What, r.Ns, r.Ns/rows[0].Ns, r.Ns/rows[1].Ns, bound)
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
