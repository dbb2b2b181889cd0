"""The admission webhook: ``review`` decides (pure), ``app`` and ``run`` serve it."""
