// The sink counts OTLP spans and keeps nothing.
//
//	sink -grpc 127.0.0.1:4317 -http 127.0.0.1:4318
//
// It takes OTLP over gRPC and, at /v1/traces of the other address, over HTTP (protobuf; either may
// be gzipped). GET /count there answers the number of spans so far.
package main

import (
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/protobuf/proto"
)

// sink is the number of spans that came.
type sink struct {
	collector.UnimplementedTraceServiceServer
	spans atomic.Int64
}

func (s *sink) add(request *collector.ExportTraceServiceRequest) {
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			s.spans.Add(int64(len(scope.Spans)))
		}
	}
}

// Export is the one call of OTLP/gRPC for traces.
func (s *sink) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.add(request)
	return &collector.ExportTraceServiceResponse{}, nil
}

func (s *sink) traces(w http.ResponseWriter, r *http.Request) {
	request, err := read(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.add(request)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (s *sink) count(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, s.spans.Load())
}

func read(r *http.Request) (*collector.ExportTraceServiceRequest, error) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		plain, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		body = plain
	}
	bytes, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	request := &collector.ExportTraceServiceRequest{}
	return request, proto.Unmarshal(bytes, request)
}

func main() {
	grpcAddress := flag.String("grpc", "127.0.0.1:4317", "address for OTLP/gRPC")
	httpAddress := flag.String("http", "127.0.0.1:4318", "address for OTLP/HTTP and /count")
	flag.Parse()

	s := &sink{}
	listener, err := net.Listen("tcp", *grpcAddress)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	collector.RegisterTraceServiceServer(server, s)
	go func() { log.Fatal(server.Serve(listener)) }()

	http.HandleFunc("/count", s.count)
	http.HandleFunc("/v1/traces", s.traces)
	log.Fatal(http.ListenAndServe(*httpAddress, nil))
}
