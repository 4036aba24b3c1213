"""OTLP, the protocol of OpenTelemetry: requests to rows and back. The only room that knows protobuf."""
