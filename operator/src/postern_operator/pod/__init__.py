"""Pods and pod templates: which are refused, and what the others become. All pure: data in, data out."""
