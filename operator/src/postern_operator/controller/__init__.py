"""The controller role: policies in, ConfigMaps, stamps, status and certificates out."""
