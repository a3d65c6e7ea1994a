// The driver of the Go package (see ../../README.md): every call through its public API.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"

	"commy"
)

type request struct {
	Seq  json.Number    `json:"seq"`
	Call string         `json:"call"`
	Args map[string]any `json:"args"`
}

type response struct {
	Seq     json.Number `json:"seq"`
	Code    int32       `json:"code"`
	Value   any         `json:"value"`
	Message string      `json:"message,omitempty"`
}

// What the caller gave names to.
var (
	meshes = map[string]*commy.Mesh{}
	tokens = map[string]commy.Token{}
)

// none was never initialized: a handle that never was.
var none, _ = commy.New("none", 1)

// A call is how a function of the ABI is made, and the method of the package that it stands for.
type call struct {
	method string
	make   func(mesh *commy.Mesh, args arguments) (any, error)
}

func answer(r request) (reply response) {
	reply.Seq = r.Seq
	switch r.Call {
	case "bye":
		return reply
	case "capabilities":
		reply.Value = capabilities()
		return reply
	}
	c, known := calls[r.Call]
	if !known {
		reply.Code, reply.Message = -1, "unknown call"
		return reply
	}
	args := arguments{values: r.Args}
	mesh := meshes[args.text("mesh")]
	if mesh == nil {
		mesh = none
	}
	value, err := c.make(mesh, args)
	var failed *commy.Error
	switch {
	case err == nil:
		reply.Value = value
	case errors.As(err, &failed):
		reply.Code, reply.Message = int32(failed.Code), failed.Message
	default:
		reply.Code, reply.Message = -2, err.Error()
	}
	return reply
}

// attempt answers, and makes an answer of a panic: of an argument that the language's types cannot hold, code 2.
func attempt(r request) (reply response) {
	defer func() {
		switch cause := recover().(type) {
		case nil:
		case refused:
			reply = response{Seq: r.Seq, Code: int32(cause.code), Message: cause.message}
		default:
			reply = response{Seq: r.Seq, Code: -2, Message: fmt.Sprint(cause)}
		}
	}()
	return answer(r)
}

func capabilities() []string {
	names := []string{}
	for name, c := range calls {
		if _, there := reflect.TypeOf(none).MethodByName(c.method); there || c.method == "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	in := json.NewDecoder(lines)
	in.UseNumber()
	for {
		var r request
		if in.Decode(&r) != nil {
			return
		}
		if err := out.Encode(attempt(r)); err != nil || r.Call == "bye" {
			return
		}
	}
}
