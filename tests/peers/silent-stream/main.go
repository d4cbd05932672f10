// silent-stream is a service as Go's net/http makes it, over HTTP/1.1 and HTTP/2 without TLS:
// /stream begins its response and then says nothing more until its request's context is cancelled;
// /counts says how many of these are open, and how many were cancelled. It prints the port that it
// listens on and ends with its standard input.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync/atomic"
)

var open, cancelled atomic.Int64

func stream(w http.ResponseWriter, r *http.Request) {
	open.Add(1)
	defer open.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, ": hello\n\n")
	w.(http.Flusher).Flush()
	<-r.Context().Done()
	cancelled.Add(1)
}

func counts(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, `{"open": %d, "cancelled": %d}`, open.Load(), cancelled.Load())
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	http.HandleFunc("/stream", stream)
	http.HandleFunc("/counts", counts)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	log.Fatal((&http.Server{Protocols: protocols}).Serve(listener))
}
