"""The doctor: probes of services and dependencies, and the report. High in the layers: it looks at everything below."""
