// A peer of gRPC that sends small messages, as a server and as a client; see matrix.py.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// Messages are bytes; no .proto is needed.
type raw struct{}

func (raw) Name() string { return "raw" }
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

var chat = grpc.StreamDesc{StreamName: "Chat", ServerStreams: true, ClientStreams: true,
	Handler: func(_ any, s grpc.ServerStream) error {
		for {
			var m []byte
			if err := s.RecvMsg(&m); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := s.SendMsg(&m); err != nil {
				return err
			}
		}
	}}

func echo(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var m []byte
	if err := decode(&m); err != nil {
		return nil, err
	}
	return &m, nil
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(raw{}))
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "small.Peer", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: echo}},
		Streams: []grpc.StreamDesc{chat}}, struct{}{})
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go server.Serve(listener)
	io.Copy(io.Discard, os.Stdin)
	server.Stop()
}

// Of 0 to 16 bytes.
func message(i int) []byte { return bytes.Repeat([]byte{byte(i)}, i%17) }

func stream(ctx context.Context, c *grpc.ClientConn, messages int) error {
	s, err := c.NewStream(ctx, &chat, "/small.Peer/Chat")
	if err != nil {
		return err
	}
	go func() {
		for i := range messages {
			m := message(i)
			if s.SendMsg(&m) != nil {
				return // RecvMsg says why
			}
		}
		s.CloseSend()
	}()
	for i := 0; ; i++ {
		var m []byte
		if err := s.RecvMsg(&m); errors.Is(err, io.EOF) && i == messages {
			return nil
		} else if err != nil {
			return fmt.Errorf("at message %d: %w", i, err)
		}
		if !bytes.Equal(m, message(i)) {
			return fmt.Errorf("message %d is another", i)
		}
	}
}

type result struct {
	StreamsFailed []string `json:"streams_failed"`
	Unary         int      `json:"unary"`
	UnaryFailed   []string `json:"unary_failed"`
}

func call(target string, streams, messages int, seconds float64) {
	c, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})), grpc.WithNoProxy(), grpc.WithDisableRetry())
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds*float64(time.Second)))
	defer cancel()
	r := result{StreamsFailed: []string{}, UnaryFailed: []string{}}
	var all sync.WaitGroup
	var lock sync.Mutex
	for range streams {
		all.Go(func() {
			if err := stream(ctx, c, messages); err != nil {
				lock.Lock()
				r.StreamsFailed = append(r.StreamsFailed, err.Error())
				lock.Unlock()
			}
		})
	}
	over := make(chan struct{})
	go func() { all.Wait(); close(over) }()
	for running := true; running; {
		select {
		case <-over:
			running = false
		case <-time.After(10 * time.Millisecond):
		}
		in, out := message(r.Unary), []byte{}
		r.Unary++
		if err := c.Invoke(ctx, "/small.Peer/Echo", &in, &out); err != nil {
			r.UnaryFailed = append(r.UnaryFailed, err.Error())
		} else if !bytes.Equal(in, out) {
			r.UnaryFailed = append(r.UnaryFailed, "another answer")
		}
	}
	json.NewEncoder(os.Stdout).Encode(r)
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		serve()
		return
	}
	if len(os.Args) != 6 || os.Args[1] != "call" {
		fmt.Fprintln(os.Stderr, "usage: grpc-small serve | call ADDRESS STREAMS MESSAGES SECONDS")
		os.Exit(2)
	}
	streams, _ := strconv.Atoi(os.Args[3])
	messages, _ := strconv.Atoi(os.Args[4])
	seconds, _ := strconv.ParseFloat(os.Args[5], 64)
	call(os.Args[2], streams, messages, seconds)
}
