"""The OpenTelemetry environment variables fill what the file leaves out."""
import re

import pytest

from wire import Wire, until


def send(sidecar, n=3, *fields):
    with Wire.connect(sidecar.port) as client:
        for _ in range(n):
            assert client.get("/", *fields).status == 200


@pytest.fixture
def with_env(sidespan, port, origin):
    """A sidecar whose file says nothing of tracing or of its service's name."""
    def start(trace="", **env):
        upstream = origin()
        sidecar = sidespan(f"""
            # service is said by the environment
            inbound {{ listen 127.0.0.1:{port}; route / {{ to {upstream.address}; }} }}
            {trace}
            """, ready=False, env=env)
        text = sidecar.path.read_text().replace("service e2e;\n", "")
        sidecar.path.write_text(text)
        sidecar.port, sidecar.upstream = port, upstream
        return sidecar.start()

    return start


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", None])
def test_the_endpoint_and_protocol_are_honoured(with_env, collector, protocol):
    receiver = collector()
    port = receiver.grpc_port if protocol == "grpc" else receiver.http_port
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    if protocol:
        env["OTEL_EXPORTER_OTLP_PROTOCOL"] = protocol
    send(with_env(**env))
    receiver.wait_spans(3)
    assert receiver.accepted[0].transport == (protocol or "http/protobuf")


def test_the_endpoint_of_the_signal_wins_and_is_used_as_it_is(with_env, collector):
    receiver = collector()
    send(with_env(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
                  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{receiver.http_port}/v1/traces",
                  OTEL_BSP_SCHEDULE_DELAY="50"))
    receiver.wait_spans(3)


def test_headers_and_compression_are_honoured(with_env, collector):
    receiver = collector()
    send(with_env(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.http_port}/",
                  OTEL_EXPORTER_OTLP_HEADERS="api-key=a%20b,x-other=2",
                  OTEL_EXPORTER_OTLP_COMPRESSION="gzip", OTEL_BSP_SCHEDULE_DELAY="50"))
    receiver.wait_spans(3)
    export = receiver.accepted[0]
    assert export.headers["api-key"] == "a b" and export.headers["x-other"] == "2"
    assert export.compression == "gzip"


def test_service_name_and_resource_attributes_are_honoured(with_env):
    sidecar = with_env(OTEL_SERVICE_NAME="from-env",
                       OTEL_RESOURCE_ATTRIBUTES="service.name=loses,deployment.environment.name=prod,"
                                                "odd%2Ckey=a%3Db")
    send(sidecar, 1)
    resource = sidecar.wait_span().resource
    assert resource["service.name"] == "from-env"
    assert resource["deployment.environment.name"] == "prod"
    assert resource["odd,key"] == "a=b"


def test_a_broken_list_of_resource_attributes_is_discarded_whole_and_told(with_env):
    sidecar = with_env(OTEL_RESOURCE_ATTRIBUTES="good=1,broken", OTEL_SERVICE_NAME="x")
    send(sidecar, 1)
    resource = sidecar.wait_span().resource
    assert "good" not in resource and resource["service.name"] == "x"
    sidecar.wait_log("OTEL_RESOURCE_ATTRIBUTES")


def test_without_any_name_the_service_is_unknown(with_env):
    sidecar = with_env()
    send(sidecar, 1)
    assert sidecar.wait_span().resource["service.name"].startswith("unknown_service")


def test_what_the_file_says_wins(sidespan, port, origin, collector):
    receiver = collector()
    sidecar = sidespan(f"""
        service from-file;
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {origin().address}; }} }}
        trace {{ export memory; sample always; }}
        """, env={"OTEL_SERVICE_NAME": "from-env", "OTEL_TRACES_SAMPLER": "always_off",
                  "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.http_port}"})
    sidecar.port = port
    send(sidecar, 1)
    assert sidecar.wait_span().resource["service.name"] == "from-file"
    assert receiver.accepted == []


@pytest.mark.parametrize("sampler, argument, sampled", [
    ("always_off", None, 0), ("always_on", None, 3), ("parentbased_always_off", None, 0),
    ("traceidratio", "0", 0), ("parentbased_traceidratio", "1", 3), ("TraceIdRatio", "0", 0),
    ("no_such_sampler", None, 3), ("traceidratio", "junk", 3),
])
def test_the_sampler_is_honoured(with_env, sampler, argument, sampled):
    env = {"OTEL_TRACES_SAMPLER": sampler}
    if argument:
        env["OTEL_TRACES_SAMPLER_ARG"] = argument
    sidecar = with_env(**env)
    send(sidecar)
    flags = [int(r.get("traceparent")[-2:], 16) & 1 for r in sidecar.upstream.requests]
    assert sum(flags) == sampled
    if sampler == "no_such_sampler" or argument == "junk":
        sidecar.wait_log(f'OTEL_TRACES_SAMPLER{"_ARG" if argument == "junk" else ""}: "{argument or sampler}" ')


def test_propagators_are_honoured(with_env):
    sidecar = with_env(OTEL_PROPAGATORS="tracecontext")
    send(sidecar, 1, "x-trace-id: theirs")
    assert sidecar.upstream.requests[0].get("x-trace-id") == "theirs"


def test_a_disabled_sdk_records_nothing_and_passes_the_context_on(with_env):
    sidecar = with_env(OTEL_SDK_DISABLED="true")
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    send(sidecar, 1, f"traceparent: {parent}", "tracestate: a=1")
    [request] = sidecar.upstream.requests
    assert request.get("traceparent") == parent
    assert request.get("tracestate") == "a=1"
    until(lambda: sidecar.metric('sidespan_requests_total{direction="inbound",cluster='
                                 f'"{sidecar.upstream.address}",route="/",status_class="2xx"}}') == 1,
          "the request in the metrics")
    answer = sidecar.admin("/traces")
    assert answer.status == 404 or sidecar.spans() == []


@pytest.mark.parametrize("exporter", ["console", "none"])
def test_the_exporter_is_honoured(with_env, exporter):
    sidecar = with_env(OTEL_TRACES_EXPORTER=exporter)
    send(sidecar, 2)
    if exporter == "console":
        until(lambda: len(set(re.findall(r"\b[0-9a-f]{32}\b", sidecar.out()))) == 2,
              "spans on standard output")
    else:
        assert sidecar.out() == ""


def test_batch_settings_are_honoured(with_env, collector):
    receiver = collector()
    send(with_env(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.http_port}",
                  OTEL_BSP_SCHEDULE_DELAY="100", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="2"), 6)
    receiver.wait_spans(6)
    assert all(len(e.spans) <= 2 for e in receiver.accepted)


def test_values_that_cannot_be_read_are_told_and_left(with_env):
    sidecar = with_env(OTEL_BSP_SCHEDULE_DELAY="soon", OTEL_BSP_MAX_QUEUE_SIZE="-1")
    send(sidecar, 1)
    sidecar.wait_spans(1)
    sidecar.wait_log("OTEL_BSP_SCHEDULE_DELAY")
    sidecar.wait_log("OTEL_BSP_MAX_QUEUE_SIZE")


def test_empty_variables_are_as_if_unset(with_env):
    sidecar = with_env(OTEL_EXPORTER_OTLP_ENDPOINT="", OTEL_TRACES_SAMPLER="", OTEL_SERVICE_NAME="")
    send(sidecar, 1)
    sidecar.wait_spans(1)
