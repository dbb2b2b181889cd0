"""Policy to what is generated from it: provider presets, the sidecar's file, the ConfigMap. All pure."""
