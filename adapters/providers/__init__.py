"""Providers that must be polled. Another one is one more file beside ``replicate.py`` that keeps the same promises."""

from adapters.providers.base import (
    Prediction,
    PredictionRequest,
    PredictionStatus,
    Provider,
    ProviderError,
    Reason,
)

__all__ = ["Prediction", "PredictionRequest", "PredictionStatus", "Provider", "ProviderError", "Reason"]
