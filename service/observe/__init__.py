"""Watching a running service: metrics for Prometheus and, where they are asked for, traces by OpenTelemetry."""
