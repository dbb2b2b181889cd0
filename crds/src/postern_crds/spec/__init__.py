"""The parts of a policy's spec; v1alpha1 puts them together."""
