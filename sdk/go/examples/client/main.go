// Command client makes requests over the instances of a name and says what came of them:
// go run ./examples/client [NAME [REQUESTS]]
//
// Request selects an instance for each and counts it for the whole host: in flight, how long it took, whether it failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"

	"commy"
)

func get(ctx context.Context, target commy.Target) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		fmt.Sprintf("http://%s:%d/", target.Endpoint, target.Port), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

func run(name string, requests int) error {
	mesh, err := commy.New(fmt.Sprintf("client-%d", os.Getpid()), 1)
	if err != nil {
		return err
	}
	if err := mesh.Initialize(); err != nil {
		return err
	}
	defer mesh.Close()
	for i := 0; i < requests; i++ {
		if err := mesh.Request(context.Background(), name, "", get); err != nil {
			return err
		}
	}
	median, err := mesh.Latency(name, 0.5)
	if err != nil {
		return err
	}
	stats, err := mesh.Statistics()
	fmt.Printf("%d succeeded, %d failed; half of them within %v\n", stats.SuccessfulRequests, stats.FailedRequests, median)
	return err
}

func main() {
	name, requests := "hello", 10
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	if len(os.Args) > 2 {
		requests, _ = strconv.Atoi(os.Args[2])
	}
	err := run(name, requests)
	if errors.Is(err, commy.ErrNotFound) {
		log.Fatalf("nobody offers %s: go run ./examples/server %s", name, name)
	}
	if err != nil {
		log.Fatal(err)
	}
}
