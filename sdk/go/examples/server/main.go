// Command server is an HTTP server that registers itself: go run ./examples/server [NAME]
//
// It listens on a port that the system chooses. Start several; end them however you like: the instant one is gone, no
// client selects it any more.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"commy"
)

func main() {
	name := "hello"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	check(err)
	port := listener.Addr().(*net.TCPAddr).Port

	id := fmt.Sprintf("%s-%d", name, os.Getpid())
	mesh, err := commy.New(id, port)
	check(err)
	check(mesh.Initialize())
	check(mesh.Register(commy.ServiceConfig{Name: name, ID: id, Endpoint: "127.0.0.1", Port: port, Tags: []string{"http"}}))
	fmt.Printf("%s listens on 127.0.0.1:%d\n", name, port)

	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "hello from %d\n", os.Getpid())
	})}
	ended, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ended.Done()
		check(mesh.Cleanup()) // no new requests come
		check(server.Shutdown(context.Background()))
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		check(err)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
