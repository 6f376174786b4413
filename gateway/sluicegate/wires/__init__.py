"""Dialects that more than one provider speaks. Below the providers, above `api`; sans-IO."""
