"""Bytes of an upstream to frames of its wire, provider-blind and sans-IO."""
