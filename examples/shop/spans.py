"""The spans of OTLP JSON documents (TracesData), as the collector writes them and GET /traces answers."""
import collections


class Span:
    def __init__(self, span, resource):
        self.resource = resource
        self.service = resource.get("service.name", "?")
        self.version = resource.get("service.version", "")
        self.name, self.kind = span["name"], span["kind"]
        self.trace, self.id, self.parent = span["traceId"], span["spanId"], span.get("parentSpanId", "")
        self.start, self.end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        self.attributes = attributes(span.get("attributes", []))
        self.status = span.get("status", {}).get("code", 0)

    def get(self, key, otherwise=None):
        return self.attributes.get(key, otherwise)

    def identity(self):
        """All that must be the same wherever the span is found."""
        return (self.trace, self.id, self.parent, self.service, self.version, self.name, self.kind,
                self.start, self.end, self.status, repr(sorted(self.attributes.items())))


def attributes(pairs):
    return {pair["key"]: value_of(pair["value"]) for pair in pairs}


def value_of(value):
    [(kind, v)] = value.items()
    if kind == "arrayValue":
        return [value_of(item) for item in v.get("values", [])]
    return int(v) if kind == "intValue" else v


def spans_of(documents):
    """The spans of OTLP JSON documents (TracesData)."""
    return [Span(span, attributes(rs.get("resource", {}).get("attributes", [])))
            for document in documents
            for rs in document.get("resourceSpans", [])
            for ss in rs.get("scopeSpans", []) for span in ss.get("spans", [])]


def by_trace(spans):
    traces = collections.defaultdict(list)
    for span in spans:
        traces[span.trace].append(span)
    return traces
