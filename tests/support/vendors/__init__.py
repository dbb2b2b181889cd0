"""Stand-ins of identity providers that everybody uses, faithful on the wire and as strict as the real ones."""
